"""What counts as a document, where findings stand in it, and what silences them."""

import json
from pathlib import Path

import pytest
import yaml

from flyball.errors import UsageError
from flyball.lint import Finding, LintSettings, SourceDocument, lint, lint_report

DATA = Path(__file__).parent / "data"
ENGINE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: chat}
spec:
  selector: {matchLabels: {app: chat}}
  template:
    metadata: {labels: {app: chat}}
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.33.0
          args: [org/model, --trust-remote-code]
"""

ERRORS = {
    "guide/pipeline.yaml": {
        "average-over-ranks", "dead-metric", "engine-exposed", "image-moving-tag", "missing-label-matchers",
        "no-shutdown-timeout", "pre-stop-kills", "replicas-under-autoscaler", "service-links", "trust-remote-code",
        "unknown-label", "unknown-metric",
    },
    "flawed/chart-defaults.yaml": {
        "grace-too-short", "image-moving-tag", "no-pre-stop", "no-readiness-probe", "no-shutdown-timeout",
        "replicas-under-autoscaler", "several-series", "unknown-label",
    },
    "flawed/cloud-recipe.yaml": {"percentile-average-value"},
    "flawed/generated.yaml": {
        "blind-signal", "image-moving-tag", "no-pre-stop", "no-shared-memory", "no-shutdown-timeout",
        "trust-remote-code", "unknown-metric",
    },
}  # fmt: skip


def linted(*texts: str, settings: LintSettings | None = None) -> list[Finding]:
    documents = [SourceDocument(name=f"{number}.yaml", text=text) for number, text in enumerate(texts, start=1)]
    return lint(documents, settings)


def lines_of(findings: list[Finding], rule: str) -> list[tuple[str, int]]:
    return [(finding.place.file, finding.place.line) for finding in findings if finding.rule == rule]


@pytest.mark.parametrize("name", ERRORS)
def test_whole_pipelines(name: str) -> None:
    """A pipeline as guides, charts and generators write it has exactly these errors."""
    findings = linted((DATA / name).read_text())

    assert {finding.rule for finding in findings if finding.severity == "error"} == ERRORS[name]


def test_the_guide_s_batch_and_signal() -> None:
    """The usual guide's 256 sequences on an A10G and its waiting-only signal are warned of, with numbers."""
    findings = {finding.rule: finding for finding in linted((DATA / "guide" / "pipeline.yaml").read_text())}

    assert "--max-num-seqs 256" in findings["batch-beyond-pool"].message
    assert "one A10G" in findings["batch-beyond-pool"].message
    assert findings["waiting-only"].evidence == "waiting_requests"


def test_lines_in_a_stream_of_documents() -> None:
    """The line is that of the file, whatever stands before the document: comments, Helm's notes, other documents."""
    text = f"# Source: chart/templates/a.yaml\n---\nkind: Nothing\napiVersion: v1\n---\n# a note\n{ENGINE}"

    assert lines_of(linted(text), "trust-remote-code") == [("1.yaml", 18)]


def test_a_broken_document_hides_nothing() -> None:
    """Broken YAML is a finding with file and line; the documents beside it and the other files are checked."""
    findings = linted(f"a: [1, 2\nb: 3\n---\n{ENGINE}", ENGINE)

    assert lines_of(findings, "broken-yaml") == [("1.yaml", 2)]
    assert lines_of(findings, "trust-remote-code") == [("1.yaml", 15), ("2.yaml", 12)]


def test_a_template_is_named_as_such() -> None:
    """A chart's template is broken YAML whose fix is to render it."""
    (finding,) = linted("kind: Deployment\napiVersion: apps/v1\nspec:\n  replicas: {{ .Values.replicas }}\n")

    assert finding.rule == "broken-yaml"
    assert finding.place.line == 4
    assert "helm template" in finding.fix


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: b: c\n", 1), ("a: 'x\n", 2), ("{}: 1\n", 1), ("a: &a [*a]\n", 1), ("a:\n- b\n c: d\n", 3), ("\t- a\n", 1)],
)
def test_broken_in_many_ways(text: str, line: int) -> None:
    """Whatever is wrong with a document, it is one finding near the place."""
    (finding,) = linted(text)

    assert finding.rule == "broken-yaml"
    assert abs(finding.place.line - line) <= 1


def test_an_explosion_of_aliases_is_refused() -> None:
    """A document that its aliases make enormous is reported, not built."""
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 20)}]" for n in range(1, 9))

    (finding,) = linted(f"l0: &l0 x\n{levels}\n")

    assert "too large" in finding.message


def test_a_key_that_stands_twice() -> None:
    """A repeated key is an error: one of its values is silently lost. A merge that is overridden is none."""
    doubled = "kind: ConfigMap\napiVersion: v1\ndata:\n  a: x\n  b: y\n  a: z\n"
    merged = "kind: ConfigMap\napiVersion: v1\nx: &x {a: 1}\ndata: {<<: *x, a: 2}\n"

    assert lines_of(linted(doubled), "duplicate-key") == [("1.yaml", 6)]
    assert linted(merged) == []


def test_what_is_no_object_is_noted() -> None:
    """A document without kind is skipped, with a note and not in silence."""
    (finding,) = linted("replicaCount: 3\nimage: {tag: latest}\n")

    assert (finding.rule, finding.severity, finding.evidence) == ("not-kubernetes", "info", "replicaCount, image")


def test_empty_documents_are_nothing() -> None:
    """Empty documents and comments between markers give no finding."""
    assert linted("", "---\n# nothing\n---\n...\n", "\n\n") == []


def as_json(text: str) -> str:
    return json.dumps(yaml.safe_load(text), indent=2)


def in_list(text: str) -> str:
    return as_json(yaml.safe_dump({"kind": "List", "apiVersion": "v1", "items": [yaml.safe_load(text)]}))


@pytest.mark.parametrize("text", [as_json(ENGINE), in_list(ENGINE), as_json(ENGINE).replace("  ", "\t")])
def test_json_and_lists(text: str) -> None:
    """JSON, with tabs too, and lists give the same findings as YAML, at the line of the JSON."""
    findings = linted(text)

    assert {finding.rule for finding in findings} == {finding.rule for finding in linted(ENGINE)}
    assert lines_of(findings, "trust-remote-code") == [
        ("1.yaml", next(n for n, line in enumerate(text.split("\n"), 1) if "--trust-remote-code" in line))
    ]


def test_windows_line_ends() -> None:
    """A file with CRLF line ends has the same findings at the same lines."""
    unix = [(finding.rule, finding.place.line) for finding in linted(ENGINE)]

    assert [(finding.rule, finding.place.line) for finding in linted(ENGINE.replace("\n", "\r\n"))] == unix


def test_escaped_surrogates_in_a_dashboard() -> None:
    """JSON with escaped surrogate pairs, as Python writes it, is read."""
    dashboard = json.dumps({"title": "\U0001f600", "panels": [{"targets": [{"expr": "vllm:nothing_of_the_kind"}]}]})

    assert {finding.rule for finding in linted(dashboard)} == {"unknown-metric"}


def test_flags_in_a_config_map() -> None:
    """A finding about a flag of a mounted config file stands in the file and line of the ConfigMap."""
    config = (
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: cfg}\ndata:\n  c.yaml: |\n    # flags\n    max-num-sqs: 4\n"
    )
    engine = ENGINE.replace("[org/model, --trust-remote-code]", "[--config, /etc/vllm/c.yaml]") + (
        "          volumeMounts: [{name: cfg, mountPath: /etc/vllm}]\n"
        "      volumes: [{name: cfg, configMap: {name: cfg}}]\n"
    )

    assert lines_of(linted(engine, config), "unknown-flag") == [("2.yaml", 7)]
    assert lines_of(linted(engine), "no-shutdown-timeout") == []  # the flag may be in the file that is not here


def test_a_port_that_a_variable_sets() -> None:
    """Where the port is not in the documents, no probe and no Service is said to miss it."""
    probe = "          readinessProbe: {httpGet: {path: /health, port: 9000}, timeoutSeconds: 5}\n"
    known, unknown = ENGINE + probe, ENGINE.replace("--trust-remote-code", "--port=$(PORT)") + probe

    assert "probe-port" in {finding.rule for finding in linted(known)}
    assert "probe-port" not in {finding.rule for finding in linted(unknown)}


def test_version_from_the_settings() -> None:
    """--vllm counts instead of the tag, for flags, metrics and advisories."""
    settings = LintSettings(vllm_version="0.28.0")

    assert "image-advisories" not in {finding.rule for finding in linted(ENGINE)}
    assert "image-advisories" in {finding.rule for finding in linted(ENGINE, settings=settings)}


def test_accelerator_from_the_settings() -> None:
    """--accelerator names the GPU where no node selector does."""
    text = ENGINE.replace("org/model", "meta-llama/Llama-3.1-70B-Instruct") + (
        "          resources: {limits: {nvidia.com/gpu: 1}}\n"
    )

    assert "weights-do-not-fit" not in {finding.rule for finding in linted(text)}
    found = linted(text, settings=LintSettings(accelerator="h100"))
    assert "weights-do-not-fit" in {finding.rule for finding in found}


@pytest.mark.parametrize("settings", [LintSettings(vllm_version="9.9.9"), LintSettings(accelerator="Z80")])
def test_settings_that_nobody_knows(settings: LintSettings) -> None:
    """A version or a GPU that the catalogue lacks is a usage error, whatever is linted."""
    with pytest.raises(UsageError):
        linted("", settings=settings)


def test_an_older_engine_s_metrics_are_not_dead() -> None:
    """A query is judged by the version that runs: what 0.11 exported is fine beside a 0.11 engine."""
    rule = "kind: PrometheusRule\napiVersion: monitoring.coreos.com/v1\nspec: {groups: [{rules: [{alert: Full, expr: "
    query = "vllm:gpu_cache_usage_perc > 0.9}]}]}\n"
    old = ENGINE.replace("v0.33.0", "v0.11.0")

    assert "dead-metric" in {finding.rule for finding in linted(rule + query, ENGINE)}
    assert "dead-metric" not in {finding.rule for finding in linted(rule + query, old)}


@pytest.mark.parametrize(
    "args",
    [
        "args: [org/model, --trust-remote-code] # flyball: ignore[trust-remote-code] read on Monday",
        "# flyball: ignore[trust-remote-code, unknown-flag]\n          args: [org/model, --trust-remote-code]",
    ],
)
def test_a_comment_silences_its_line(args: str) -> None:
    """A comment on the line, or alone above it, silences the named rules there and nothing else."""
    text = ENGINE.replace("args: [org/model, --trust-remote-code]", args)
    report = lint_report([SourceDocument(name="a.yaml", text=text)])
    rules = {finding.rule for finding in report.findings}

    assert "trust-remote-code" not in rules
    assert report.suppressed == 1
    assert rules == {finding.rule for finding in linted(ENGINE)} - {"trust-remote-code"}


def test_a_comment_does_not_silence_other_lines() -> None:
    """The comment above an unrelated line changes nothing."""
    text = ENGINE.replace("spec:\n  selector", "# flyball: ignore[trust-remote-code]\nspec:\n  selector")

    assert "trust-remote-code" in {finding.rule for finding in linted(text)}


def test_an_annotation_silences_an_object() -> None:
    """The annotation silences the named rules for its object, and not for another."""
    text = ENGINE.replace(
        "metadata: {name: chat}", "metadata: {name: chat, annotations: {flyball.dev/ignore: trust-remote-code}}"
    )

    assert lines_of(linted(text, ENGINE), "trust-remote-code") == [("2.yaml", 12)]


def test_a_rule_that_does_not_exist_cannot_be_silenced() -> None:
    """A misspelt rule is reported, with the one that was meant."""
    text = ENGINE.replace("spec:\n  selector", "# flyball: ignore[trust-remote-cod]\nspec:\n  selector")
    (finding,) = [each for each in linted(text) if each.rule == "unknown-suppression"]

    assert finding.place.line == 4
    assert finding.fix == "did you mean trust-remote-code?"


def test_namespaces_keep_objects_apart() -> None:
    """An autoscaler scales the workload of its own namespace; one without a namespace may mean any."""
    hpa = (
        "kind: HorizontalPodAutoscaler\napiVersion: autoscaling/v2\nmetadata: {name: h, namespace: other}\n"
        "spec: {scaleTargetRef: {kind: Deployment, name: chat}, minReplicas: 1, maxReplicas: 4, metrics: []}\n"
    )
    engine = ENGINE.replace("name: chat}", "name: chat, namespace: llm}", 1).replace(
        "spec:\n", "spec:\n  replicas: 2\n", 1
    )

    assert lines_of(linted(engine, hpa), "replicas-under-autoscaler") == []
    assert lines_of(linted(engine, hpa.replace("other", "llm")), "replicas-under-autoscaler") == [("1.yaml", 5)]
    assert lines_of(linted(engine, hpa.replace(", namespace: other", "")), "replicas-under-autoscaler") != []


def test_replicas_of_a_live_object() -> None:
    """What a cluster has filled in is no fault of the author: replicas read from it are not reported."""
    hpa = (
        "kind: HorizontalPodAutoscaler\napiVersion: autoscaling/v2\nmetadata: {name: h}\n"
        "spec: {scaleTargetRef: {kind: Deployment, name: chat}, minReplicas: 1, maxReplicas: 4, metrics: []}\n"
    )
    live = ENGINE.replace("{name: chat}", "{name: chat, uid: abc, resourceVersion: '7'}", 1).replace(
        "spec:\n", "spec:\n  replicas: 2\n", 1
    )

    assert lines_of(linted(live, hpa), "replicas-under-autoscaler") == []
