"""The examples, from spec to text: golden, clean under `flyball lint`, and what they are examples of."""

import os
from functools import cache
from pathlib import Path

import pytest
import yaml

from flyball.cli.rendering import Rendered, rendered
from flyball.lint import LintSettings, SourceDocument, lint_report
from flyball.manifests import ServiceDesign, side_files, to_yaml
from service_designs import MATRIX, objects, of_kind

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"
EXAMPLES = ("guide", "chat", "70b")


@pytest.fixture(autouse=True)
def _no_calibrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path))


@cache
def example(name: str) -> Rendered:
    return rendered(ROOT / "examples" / f"{name}.yaml")


def findings(made: ServiceDesign, text: str) -> dict[str, set[str]]:
    """Rules by severity, over the objects and over what lies beside them."""
    beside = [SourceDocument(name=name, text=text) for name, text in side_files(made).items() if name.endswith("yaml")]
    report = lint_report([SourceDocument(name="all.yaml", text=text), *beside], LintSettings())
    found: dict[str, set[str]] = {"error": set(), "warning": set(), "info": set()}
    for finding in report.findings:
        found[finding.severity].add(finding.rule)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_text_is_the_golden_one(name: str) -> None:
    """Every change of what is rendered is seen in review. `pytest --update-golden` writes what is rendered."""
    text, golden = to_yaml(example(name).manifests), DATA / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)

    assert text == golden.read_text()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_text_reads_back_as_the_objects(name: str) -> None:
    """What kubectl reads is what was meant."""
    manifests = example(name).manifests
    assert list(yaml.safe_load_all(to_yaml(manifests))) == [manifest.plain for manifest in manifests]


@pytest.mark.long
@pytest.mark.parametrize("name", MATRIX)
def test_lint_finds_neither_error_nor_warning(name: str) -> None:
    """Over the whole matrix, but for what was asked for and is warned of by render too."""
    made = MATRIX[name]
    found, asked = findings(made, to_yaml(objects(made))), set[str]()
    if made.spec.scaling.signal == "waiting":
        asked.add("waiting-only")
    if made.kubernetes.taint_key != "nvidia.com/gpu":
        asked |= {"tolerates-own-gpu-taint", "taint-locks-out-operator"}
    assert found["error"] == set()
    assert found["warning"] == asked


def test_the_guides_pipeline_comes_out_right() -> None:
    """HPA v2 from 1 to 8 on 10 waiting requests through the Prometheus Adapter, with what the guide leaves out."""
    made = example("guide")
    assert made.design is not None
    hpa = of_kind(made.manifests, "HorizontalPodAutoscaler")["spec"]
    rule = yaml.safe_load(made.side_files["prometheus-adapter-values.yaml"])["rules"]["custom"][0]

    assert (hpa["minReplicas"], hpa["maxReplicas"]) == (1, 8)
    assert hpa["metrics"] == [
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": rule["name"]["as"]},
                "target": {"type": "AverageValue", "averageValue": "10"},
            },
        }
    ]
    assert "<<.LabelMatchers>>" in rule["metricsQuery"]
    assert "<<.GroupBy>>" in rule["metricsQuery"]
    assert hpa["behavior"]["scaleDown"]["stabilizationWindowSeconds"] > made.design.cold_start_s
    deployment = of_kind(made.manifests, "Deployment", "guide-engine")["spec"]
    assert "replicas" not in deployment
    assert any("running + waiting" in concern.fix for concern in made.concerns)
    assert findings(made.design, to_yaml(made.manifests))["error"] == set()


def test_a_floor_stays_on_demand_under_one_scaler() -> None:
    """Two Deployments: one with fixed replicas that refuses spot nodes, one on spot that KEDA alone scales."""
    made = example("chat")
    floor = of_kind(made.manifests, "Deployment", "chat-engine-floor")["spec"]
    spot = of_kind(made.manifests, "Deployment", "chat-engine")["spec"]
    scaled = of_kind(made.manifests, "ScaledObject")["spec"]
    assert made.plan is not None

    assert floor["replicas"] == made.plan.spot_replicas_above == 1
    terms = floor["template"]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    refused = {"key": "karpenter.sh/capacity-type", "operator": "NotIn", "values": ["spot"]}
    assert all(refused in term["matchExpressions"] for term in terms["nodeSelectorTerms"])
    assert "replicas" not in spot
    assert scaled["scaleTargetRef"]["name"] == "chat-engine"
    assert scaled["minReplicaCount"] == made.plan.min_replicas - 1
    assert scaled["maxReplicaCount"] == made.plan.max_replicas - 1


def test_a_large_model_gets_four_gpus_and_room_to_exchange() -> None:
    """Tensor parallelism 4: as many GPUs, /dev/shm counted in the memory, and the measured start-up in the probes."""
    made = example("70b")
    pod = of_kind(made.manifests, "Deployment", "large-engine")["spec"]["template"]["spec"]
    container = pod["containers"][0]

    assert "--tensor-parallel-size=4" in container["args"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "4"
    shm = next(volume["emptyDir"] for volume in pod["volumes"] if volume["name"] == "shm")
    assert shm == {"medium": "Memory", "sizeLimit": "8Gi"}
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 3 * 240
    assert "--spot" not in made.side_files["node-pools.sh"]
