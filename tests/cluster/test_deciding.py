"""The decisions without a server: in which order, when an object is ready, whose the replica count is."""

import random
from typing import Any

import pytest

from fake_apiserver_controllers import scale
from fake_apiserver_store import Store
from flyball.cluster.custom_kinds import missing_kinds
from flyball.cluster.objects import ObjectKey, key_of
from flyball.cluster.ordering import in_order, keys_in_reverse
from flyball.cluster.readiness import progress_of
from flyball.cluster.replicas import HANDOVER, respect_autoscaler, scale_targets
from plain_service import body, claim, deployment, job, namespace, scaled_object, service

Object = dict[str, Any]
TARGETS = scale_targets([scaled_object()])


def test_the_order_does_not_depend_on_the_order_given() -> None:
    """What others need comes first, the scaler after its target, watchers last; deletion is the exact reverse."""
    shuffled = service()
    random.Random(1).shuffle(shuffled)

    kinds = [each["kind"] for each in in_order(shuffled)]

    assert kinds[:2] == ["Namespace", "ConfigMap"]
    assert kinds[2:] == ["PersistentVolumeClaim", "Job", "Deployment", "ScaledObject", "PodMonitor"]
    assert keys_in_reverse(map(key_of, shuffled)) == [key_of(each) for each in reversed(in_order(shuffled))]


@pytest.mark.parametrize(
    ("api_version", "kind", "fix"),
    [
        ("policy/v1", "PodDisruptionBudget", "upgrade Kubernetes: policy/v1 is served from 1.21 on"),
        ("networking.k8s.io/v1", "NetworkPolicy", "upgrade Kubernetes"),
        ("keda.sh/v1alpha1", "ScaledObject", "install a release of KEDA that serves keda.sh/v1alpha1"),
        ("example.org/v1", "Thing", "install a release of its operator that serves example.org/v1"),
    ],
)
def test_what_serves_a_kind_in_an_older_version_only(api_version: str, kind: str, fix: str) -> None:
    """Kubernetes' own kinds come with another Kubernetes, everything else with another release of its operator."""
    key = ObjectKey(api_version=api_version, kind=kind, name="chat", namespace="llm")

    (missing,) = missing_kinds([(key, ("an/older",))])

    assert missing.fix == fix


def rollout(**status: Any) -> Object:
    made = deployment(replicas=3)
    made["metadata"]["generation"] = 2
    return {**made, "status": {"observedGeneration": 2, **status}}


def conditions(kind: Object, *found: tuple[str, str, str]) -> Object:
    listed = [{"type": name, "status": status, "reason": reason, "message": "m"} for name, status, reason in found]
    return {**kind, "status": {"conditions": listed}}


@pytest.mark.parametrize(
    ("made", "state", "text"),
    [
        (rollout(observedGeneration=1), "waiting", "not seen by its controller yet"),
        (rollout(replicas=3, updatedReplicas=1, availableReplicas=3), "waiting", "1 up to date, 2 old ones to go"),
        (rollout(replicas=3, updatedReplicas=3, availableReplicas=2), "waiting", "2 of 3 ready"),
        (rollout(replicas=4, updatedReplicas=3, availableReplicas=4), "waiting", "3 of 3 ready, 3 up to date, 1 old"),
        (rollout(replicas=3, updatedReplicas=3, availableReplicas=3), "ready", "3 of 3 ready"),
        (
            rollout(conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too slow"}]),
            "failed",
            "gave up: too slow",
        ),
        (job(), "waiting", "running"),
        ({**job(), "status": {"failed": 2}}, "waiting", "running, 2 attempts failed"),
        (conditions(job(), ("Complete", "True", "")), "ready", "complete"),
        (conditions(job(), ("Failed", "True", "BackoffLimitExceeded")), "failed", "BackoffLimitExceeded: m"),
        (scaled_object(), "waiting", "not seen by KEDA yet"),
        (conditions(scaled_object(), ("Ready", "False", "TriggerError")), "waiting", "TriggerError: m"),
        (conditions(scaled_object(), ("Ready", "True", "")), "ready", "ready"),
        (claim(), "ready", ""),
    ],
)
def test_progress(made: Object, state: str, text: str) -> None:
    """As `kubectl rollout status` and `kubectl wait` would judge it, with the condition's own words."""
    progress = progress_of(made)

    assert progress.state == state
    assert text in progress.text


def applied(wanted: Object) -> tuple[Store, Object]:
    store = Store()
    store.put(namespace())
    return store, store.apply(wanted)[0]


def test_what_nothing_scales_is_sent_as_it_is() -> None:
    """A new object, and one without an autoscaler."""
    wanted = deployment(replicas=3)

    assert respect_autoscaler(wanted, None, TARGETS).body == wanted
    _, live = applied(wanted)
    assert respect_autoscaler(wanted, live, scale_targets([])).body == wanted


def test_a_count_under_an_autoscaler_is_left_out() -> None:
    """Where the autoscaler has written it, nothing is to be handed over."""
    store, _ = applied(deployment(replicas=3))
    scale(store, "chat-engine", "llm", 5)
    live = store.get("Deployment", "chat-engine", "llm")

    advice = respect_autoscaler(deployment(replicas=3), live, TARGETS)

    assert "replicas" not in advice.body["spec"]
    assert advice.handover is None
    assert advice.note == ".spec.replicas stays at 5: an autoscaler owns it"


def test_a_count_that_is_only_ours_is_handed_over() -> None:
    """With the value it has; once another manager holds it too, no more."""
    store, live = applied(deployment(replicas=3))
    advice = respect_autoscaler(deployment(), live, TARGETS)

    assert advice.handover is not None
    assert advice.handover["spec"] == {"replicas": 3}
    held, _ = store.apply(dict(advice.handover), manager=HANDOVER)
    assert respect_autoscaler(deployment(), held, TARGETS).handover is None
    assert store.apply(deployment())[0]["spec"]["replicas"] == 3


def test_targets_of_scalers() -> None:
    """KEDA's default kind is Deployment; an HPA names its own."""
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "x"}
    hpa = body("autoscaling/v2", "HorizontalPodAutoscaler", "x", spec={"scaleTargetRef": reference})

    assert scale_targets([scaled_object(), hpa]) == {
        ("Deployment", "llm", "chat-engine"),
        ("StatefulSet", "llm", "x"),
    }
