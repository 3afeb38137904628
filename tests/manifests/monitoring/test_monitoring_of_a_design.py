"""From a design to its monitoring: prices by replica, the autoscaler's name, the pods that are scraped."""

import re
from pathlib import Path

import pytest

from flyball.manifests import Because, ServiceDesign
from flyball.manifests.manifest import unwrapped
from flyball.manifests.monitoring import adapter_values, monitoring, watch
from flyball.manifests.monitoring_page import monitoring_page
from service_designs import MATRIX, design, objects, of_kind

PAGE = Path(__file__).parents[3] / "docs" / "monitoring.md"


def test_the_page_is_current() -> None:
    """docs/monitoring.md says what the rules say."""
    module = "flyball.manifests.monitoring_page"
    write = f"python -c 'from {module} import monitoring_page as page; print(page(), end=str())' > docs/monitoring.md"

    assert PAGE.read_text() == monitoring_page(), f"run: {write}"


def test_a_replica_costs_its_share_of_the_machine() -> None:
    """Two GPUs of a machine with eight at $16 are $4 an hour; on spot at $8, $2."""
    share = watch(
        design(
            machine="g5.48xlarge",
            gpus_per_replica=2,
            on_demand_usd_per_hour=16.0,
            spot_usd_per_hour=8.0,
            on_demand_floor=1,
        )
    ).price

    assert share is not None
    assert (share.on_demand_usd_per_hour, share.spot_usd_per_hour, share.on_demand_floor) == (4.0, 2.0, 1)


def test_without_a_price_no_money_is_shown() -> None:
    """No record and no panel about dollars."""
    made = monitoring(design(on_demand_usd_per_hour=None, spot_usd_per_hour=None))

    assert "usd" not in str([each.plain for each in made])


@pytest.mark.parametrize(
    ("made", "hpa"),
    [
        (design(), "keda-hpa-chat-engine"),
        (design({"scaling": {"by": "prometheus-adapter"}}), "chat-engine"),
        (design(min_replicas=Because(3, "given"), max_replicas=Because(3, "given")), None),
    ],
    ids=["keda", "adapter", "fixed"],
)
def test_the_autoscaler_s_alerts_ask_for_its_name(made: ServiceDesign, hpa: str | None) -> None:
    """KEDA names its HPA after the ScaledObject; where nothing scales there is nothing to alert about."""
    text = str(of_kind(monitoring(made), "PrometheusRule"))

    assert watch(made).autoscaler == hpa
    assert (f'horizontalpodautoscaler="{hpa}"' in text) == (hpa is not None)


@pytest.mark.parametrize("name", MATRIX)
def test_pods_are_scraped_by_the_labels_and_ports_that_they_have(name: str) -> None:
    """The monitors' selectors and port names are those of the pods that the design renders."""
    made = objects(MATRIX[name])
    monitors = {each.name: each.plain["spec"] for each in made if each.kind == "PodMonitor"}
    deployments = [each.plain for each in made if each.kind == "Deployment"]
    for deployment in deployments:
        pod = deployment["spec"]["template"]
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        monitor = monitors[f"{MATRIX[name].name}-{component}"]
        assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        ports = {port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", ())}
        assert monitor["podMetricsEndpoints"][0]["port"] in ports
        assert pod["spec"]["containers"][0]["name"] == {"engine": "vllm", "gateway": "envoy"}[component]


@pytest.mark.parametrize(
    ("pod", "is_ours"),
    [
        ("chat-engine-6c9f8d7b5-x2x7k", True),
        ("chat-engine-floor-6c9f8d7b5-x2x7k", True),
        ("chat-engine-engine-6c9f8d7b5-x2x7k", False),
        ("chat-gateway-6c9f8d7b5-x2x7k", False),
        ("my-chat-engine-6c9f8d7b5-x2x7k", False),
    ],
)
def test_pods_are_told_from_namesakes(pod: str, is_ours: bool) -> None:
    """By the Deployment's name and the ReplicaSet's hash; a service called chat-engine is another one."""
    pattern = watch(design()).series.pod_names

    assert (re.fullmatch(pattern.pattern, pod) is not None) == is_ours


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://prometheus-operated.monitoring.svc:9090", ("http://prometheus-operated.monitoring.svc", 9090, "")),
        ("https://metrics.example.com/prom", ("https://metrics.example.com", 443, "/prom")),
        ("http://prometheus", ("http://prometheus", 80, "")),
    ],
)
def test_the_adapter_asks_the_prometheus_of_the_spec(url: str, expected: tuple[str, int, str]) -> None:
    """Its chart takes the address in three parts."""
    values = unwrapped(adapter_values(design({"kubernetes": {"prometheus": url}})))["prometheus"]

    assert (values["url"], values["port"], values["path"]) == expected
