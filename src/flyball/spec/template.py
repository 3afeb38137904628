"""The commented spec that `flyball init` writes. It is valid as it stands; the tests read it."""

TEMPLATE = """\
# What you want. flyball derives how: GPU type, flags, thresholds, probes, replicas, cost.
# Every key has a default except model.id; `flyball schema` lists them all.
name: {name}

model:
  id: {model}            # a Hugging Face id, or a path to a folder with config.json
  # revision: <commit>   # pin it: every replica then serves the same weights
  # quantization: fp8    # null | fp8 | awq | gptq ...

slo:                     # every percentile given must hold
  ttft: {{p95: 200ms}}     # time to first token
  tpot: {{p95: 50ms}}      # time per output token after the first

workload:
  arrivals: {{poisson: 24}}   # requests per second; or {{closed_loop: 64}}, {{trace: file}}
  peak: 60                  # requests per second to plan for
  prompt_tokens: {{lognormal: {{mu: 6.0, sigma: 0.6, min: 8}}}}  # median 403; or {{fixed: 512}}, {{empirical: file}}
  output_tokens: {{lognormal: {{mu: 4.8, sigma: 0.6}}}}          # median 122

hardware:
  cloud: aws             # aws | gcp | azure | none (machines of your own)
  accelerators: []       # e.g. [L4, L40S, H100]; empty considers all
  spot: {{allowed: false, on_demand_floor: 1}}

scaling:
  min: 1
  max: 8
  signal: in_system      # running + waiting; the queue alone reads 0 while every replica is full
  # target: 12           # per replica; derived when absent

engine: {{}}               # vLLM's own flags, overriding what is derived, e.g. {{max_num_seqs: 64}}

kubernetes: {{namespace: llm}}
"""
