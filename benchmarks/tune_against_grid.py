"""How good and how dear is `flyball tune`, against every value measured and against the usual recipe?

The real vLLM of `flyball engine install`, the small model, two cores. Three searches over the same values with the same
loads: all of them (`grid`), `flyball tune` (`tune`), and 32 fewer until E2E p95 < 500 ms (`recipe`). Each keeps its own
journal and goes on where it was stopped, so that the benchmark can be run in pieces:

    python benchmarks/tune_against_grid.py --out FOLDER [--only grid|tune|recipe] [--starts N]

Without --only it runs what is missing and prints the table.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flyball.catalog import load_catalog
from flyball.engine import Home, find_engine
from flyball.planning import demand
from flyball.spec import ServingSpec, parse_model
from flyball.tune.choice import best, chosen
from flyball.tune.journal import read_journal
from flyball.tune.proposal import Finished, Proposal
from flyball.tune.run import Inputs, Progress, run
from flyball.tune.trial import Trial
from flyball.workload import Recordings

START = 256  # vLLM's default on GPUs under 70 GiB, where the recipe is usually begun
GRID = (2, 4, 8, 16, 32, START)
SPEC = f"""
model: {{id: HuggingFaceTB/SmolLM2-135M-Instruct, served_name: small}}
slo:
  ttft: {{p95: 2s}}
  tpot: {{p95: 120ms}}
workload:
  arrivals: {{poisson: 2}}
  prompt_tokens: {{lognormal: {{mu: 2.3, sigma: 0.4, min: 4, max: 40}}}}
  output_tokens: {{lognormal: {{mu: 2.3, sigma: 0.3, min: 6, max: 24}}}}
scaling: {{min: 1, max: 1}}
local: {{kv_cache: 256Mi}}
engine: {{max_num_seqs: {START}}}
tune:
  requests: 60
  restarts: 4
  flags:
    max_num_seqs: {{values: {list(GRID)}}}
    max_num_batched_tokens: {{values: [2048]}}
"""


def grid(trials: Sequence[Trial]) -> Proposal | Finished:
    """Every value, from the largest down; the last result is where the next search begins."""
    if len(trials) == len(GRID):
        return Finished(why="every value has been measured")
    value = sorted(GRID, reverse=True)[len(trials)]
    guess = trials[-1].estimate.rate if trials and trials[-1].estimate.rate else 2.0
    return Proposal(flags={"max_num_seqs": value, "max_num_batched_tokens": 2048}, why="the grid", guess=guess)


async def search(name: str, folder: Path, starts: int | None) -> None:
    """One of the three, from where it was left."""
    spec = parse_model(ServingSpec, SPEC, source="SPEC")
    past = read_journal(folder) if (folder / "journal.jsonl").exists() else None
    folder.mkdir(parents=True, exist_ok=True)
    done = past.starts if past else 0
    limit = spec.tune.restarts if name == "tune" else 100
    limit = limit if starts is None else min(limit, done + starts)
    spec = spec.model_copy(update={"tune": spec.tune.model_copy(update={"restarts": limit})})
    inputs = Inputs(
        spec=spec,
        recordings=Recordings(),
        demand=demand(spec.workload, slo=spec.slo, recordings=Recordings(), rng=np.random.default_rng(0)),
        catalog=load_catalog(),
        calibrations=(),
        server=find_engine(Home.of_user()),
        seed=1,
        recipe=name == "recipe",
        folder=folder,
    )
    say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    await run(inputs, past=past, say=say, progress=Progress(), proposer=grid if name == "grid" else None)


def report(out: Path) -> None:
    """What is there, as a table and as JSON."""
    past = {name: read_journal(out / name) for name in ("grid", "tune", "recipe") if (out / name).exists()}
    truth = {trial.flags["max_num_seqs"]: trial for trial in past["grid"].trials}
    top = best(past["grid"].trials)
    assert top is not None
    print("| max_num_seqs | holds (requests/s) | goodput | of the best |\n| ---: | ---: | ---: | ---: |")
    for value in sorted(truth, key=int):
        trial = truth[value]
        share = trial.estimate.rate / top.estimate.rate
        print(
            f"| {value} | {trial.estimate.rate:.2f} ± {trial.estimate.error:.1%} | {trial.goodput:.2f} | {share:.0%} |"
        )
    rows = {}
    for name, end in (("grid", top), ("tune", None), ("recipe", None)):
        if name not in past:
            continue
        trials = past[name].trials
        found = end or (chosen(trials) if name == "tune" else trials[-1])
        assert found is not None
        on_grid = truth.get(found.flags["max_num_seqs"], found)
        rows[name] = {
            "max_num_seqs": found.flags["max_num_seqs"],
            "engine_starts": past[name].starts,
            "minutes": round(past[name].elapsed_s / 60, 1),
            "rate_on_grid": round(on_grid.estimate.rate, 3),
            "of_best": round(on_grid.estimate.rate / top.estimate.rate, 3),
        }
    print("\n| search | ends at | engine starts | minutes | holds, as the grid measured it | of the best |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, row in rows.items():
        print(f"| {name} | {row['max_num_seqs']} | {row['engine_starts']} | {row['minutes']} | {row['rate_on_grid']} |"
              f" {row['of_best']:.0%} |")  # fmt: skip
    (out / "summary.json").write_text(json.dumps(rows, indent=2) + "\n")


def main() -> None:
    """Parse, search, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=("grid", "tune", "recipe"))
    parser.add_argument("--starts", type=int, help="engine starts in this run, at most")
    arguments = parser.parse_args()
    for name in ("grid", "tune", "recipe") if arguments.only is None else (arguments.only,):
        asyncio.run(search(name, arguments.out / name, arguments.starts))
    if arguments.only is None:
        report(arguments.out)


if __name__ == "__main__":
    main()
