"""A cluster on which nothing is wrong, as facts, and the means to break one thing of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from flyball.cluster.doctor.expected import ExpectedService, expected_service
from flyball.cluster.doctor.facts import Answer, ClusterFacts, MetricAnswer, PrometheusFacts, Sample, Target
from flyball.cluster.doctor.questions import coverage, dcgm_query, matches, spread
from flyball.cluster.doctor.resource import RESOURCES

DATA = Path(__file__).parent / "cluster" / "doctor" / "data"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PODS = ("chat-engine-5d9c7-aaaaa", "chat-engine-5d9c7-bbbbb")
HPA = "HorizontalPodAutoscaler"


class Bench:
    """Rendered and live objects, and Prometheus' answers, all free to be changed before `facts` are taken."""

    def __init__(self) -> None:
        self.rendered = _copy(_rendered())
        self.live = _copy(_live())
        self.series = [{"namespace": "llm", "pod": pod, "job": "chat-engine", "engine": "0"} for pod in PODS]
        self.values: Sequence[Sample] = (Sample(labels={}, value=7.0),)
        self.targets: tuple[Target, ...] | None = tuple(
            Target(pool="podMonitor/llm/chat-engine/0", labels={"pod": pod}, health="up") for pod in PODS
        )
        self.dcgm = ["DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"]
        self.metric = Answer(samples=(Sample(labels={}, value=7.0),))
        self.address = ""
        """Where Prometheus is, if not where the scaler has it."""
        self.more: dict[str, Any] = {}

    def live_object(self, kind: str, name: str = "") -> dict[str, Any]:
        """The live object of that kind; the first one where no name is given."""
        return next(each for each in self.live if each["kind"] == kind and name in ("", each["metadata"]["name"]))

    def rendered_object(self, kind: str, name: str = "") -> dict[str, Any]:
        return next(each for each in self.rendered if each["kind"] == kind and name in ("", each["metadata"]["name"]))

    def remove(self, kind: str, name: str = "") -> None:
        self.live = [each for each in self.live if each["kind"] != kind or name not in ("", each["metadata"]["name"])]

    def add(self, kind: str, api_version: str = "v1", **parts: Any) -> None:
        self.live.append({"kind": kind, "apiVersion": api_version, **parts})

    def expected(self) -> ExpectedService:
        return expected_service(self.rendered, name="chat", namespace="llm")

    def facts(self) -> ClusterFacts:
        expected = self.expected()
        objects = {each: tuple(found for found in self.live if found["kind"] == each.kind) for each in RESOURCES}
        facts = ClusterFacts(
            server="https://10.0.0.1:6443",
            context="prod",
            now=NOW,
            version="v1.36.1",
            objects=objects,
            denied=(),
            unserved=(),
            prometheus=PrometheusFacts(
                address=self.address or expected.prometheus,
                answers=self.prometheus_answers(expected),
                targets=self.targets,
            ),
            metrics=(self._metric(),),
        )
        return replace(facts, **self.more)

    def _metric(self) -> MetricAnswer:
        return MetricAnswer(
            autoscaler=f"{HPA} llm/keda-hpa-chat-engine",
            metric="s0-prometheus",
            path="/apis/external",
            answer=self.metric,
        )

    def prometheus_answers(self, expected: ExpectedService) -> Mapping[str, Answer]:
        return prometheus_answers(expected, self.series, self.values, self.dcgm)


def prometheus_answers(
    expected: ExpectedService, series: Sequence[Mapping[str, str]], values: Sequence[Sample], dcgm: Sequence[str]
) -> dict[str, Answer]:
    """What Prometheus answers to the doctor's questions if it has `series` of each metric of the scaling query.

    `values` are the scaling query's own answer.
    """
    answers = {dcgm_query(expected.dcgm_fields): Answer(samples=tuple(_named(each) for each in dcgm))}
    for query in expected.queries:
        answers[query.query] = Answer(samples=tuple(values))
        for selector in query.selectors:
            labels = [matcher.label for matcher in selector.matchers]
            answers[spread(selector)] = Answer(samples=_counted(series, labels))
            mine = [each for each in series if all(matches(one, each.get(one.label, "")) for one in selector.matchers)]
            answers[coverage(selector)] = Answer(samples=_counted(mine, ["namespace", "pod", "engine"]))
    return answers


@cache
def _rendered() -> str:
    return json.dumps(list(yaml.safe_load_all((DATA / "rendered.yaml").read_text())))


@cache
def _live() -> str:
    return json.dumps(yaml.safe_load((DATA / "live.yaml").read_text())["items"])


def _copy(objects: str) -> list[dict[str, Any]]:
    """Objects that share nothing with each other, nor with those of another bench."""
    copied: list[dict[str, Any]] = json.loads(objects)
    return copied


def _named(field: str) -> Sample:
    return Sample(labels={"__name__": field}, value=2.0)


def _counted(series: Sequence[Mapping[str, str]], labels: Sequence[str]) -> tuple[Sample, ...]:
    """`count by (labels) (series)`."""
    groups: dict[tuple[tuple[str, str], ...], int] = {}
    for each in series:
        key = tuple((label, each[label]) for label in labels if label in each)
        groups[key] = groups.get(key, 0) + 1
    return tuple(Sample(labels=dict(key), value=float(count)) for key, count in groups.items())
