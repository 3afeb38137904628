"""The law against 907 decisions of a real controller, and the reading of such records."""

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from flyball.errors import UsageError
from flyball.scaling import LimitedBy, ReplayedSync, read_traces, replay
from flyball.scaling.replaying import merge_patch

RECORDED: list[dict[str, Any]] = json.loads(
    gzip.decompress((Path(__file__).parent / "data" / "hpa-controller-traces.json.gz").read_bytes())
)
OUTCOME = ("proposal", "set_replicas")


def syncs_of(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for event in trace["events"] if event.get("kind") == "sync"]


def replayed(trace: dict[str, Any]) -> list[ReplayedSync]:
    return [sync for each in read_traces(trace, source="trace.json") for sync in replay(each, source="trace.json")]


@pytest.mark.parametrize("trace", RECORDED, ids=[trace["name"] for trace in RECORDED])
def test_every_sync_is_decided_as_the_controller_did(trace: dict[str, Any]) -> None:
    """Proposal and replicas, at every sync, those that the recorder calls racy included."""
    outcome = replayed(trace)
    assert len(outcome) == len(syncs_of(trace)) > 0
    assert all(sync.agrees is not None for sync in outcome)
    assert [sync.reason for sync in outcome if not sync.agrees] == []


@pytest.mark.parametrize("trace", RECORDED, ids=[trace["name"] for trace in RECORDED])
def test_the_controllers_outcome_is_not_needed(trace: dict[str, Any]) -> None:
    """From inputs and times alone, the law comes to the same."""
    blind = copy.deepcopy(trace)
    for recorded in syncs_of(blind):
        for field in OUTCOME:
            del recorded[field]
    outcome = replayed(blind)
    assert [sync.agrees for sync in outcome] == [None] * len(outcome)
    for sync, recorded in zip(outcome, syncs_of(trace), strict=True):
        kept = recorded["scale_spec_replicas"] if recorded["set_replicas"] is None else recorded["set_replicas"]
        assert (sync.proposal, sync.desired) == (recorded["proposal"], kept), sync.reason


def test_the_recording_is_whole() -> None:
    """A trimmed or truncated file would make the two tests above say less."""
    assert len(RECORDED) == 48
    assert sum(len(syncs_of(trace)) for trace in RECORDED) == 907


def named(prefix: str) -> dict[str, Any]:
    return copy.deepcopy(next(trace for trace in RECORDED if trace["name"].startswith(prefix)))


def test_what_the_controller_did_is_compared_and_not_used() -> None:
    """A record that says otherwise at one sync differs at that sync and at no other."""
    trace = named("05a")
    syncs_of(trace)[4]["proposal"] = 30
    assert [sync.sync.n for sync in replayed(trace) if not sync.agrees] == [5]


@pytest.mark.parametrize("flag", ["pod_change_nearby", "history_edge"])
def test_at_a_race_the_memory_is_the_controllers(flag: str) -> None:
    """A proposal of 30 that only the controller can have seen a reason for holds its scale-down window."""
    trace = named("06b")
    syncs_of(trace)[0] |= {"proposal": 30, flag: True}
    outcome = replayed(trace)
    assert outcome[0].proposal == 5
    assert "holds it at 30" in outcome[1].reason


def test_at_a_race_the_scale_event_is_the_controllers() -> None:
    """What it really wrote counts against its rate policies, not what the law would have written."""
    trace = named("08j")
    syncs_of(trace)[0] |= {"set_replicas": 2, "history_edge": True}
    outcome = replayed(trace)
    assert outcome[0].desired == 3
    assert outcome[1].desired == 4  # one of two pods per 10 s is left, not none


def test_a_second_hpa_has_a_memory_of_its_own() -> None:
    """Two HPAs on one target: the controller reads no metric for either, and each keeps what it has."""
    trace = named("04a")
    for sync in syncs_of(trace)[1:]:
        sync |= {"queries": [], "proposal": None, "set_replicas": None, "scale_spec_replicas": 4}
    second = {**syncs_of(trace)[1], "hpa": "other", "t": 4.5, "n": 100}
    deleted = {"t": 4.6, "kind": "action", "action": "hpa-deleted", "hpa": "other"}
    trace["events"][3:3] = [second, deleted]
    outcome = replayed(trace)
    assert all(sync.agrees for sync in outcome)
    assert outcome[-1].limited_by is LimitedBy.NO_METRIC
    assert "load: not queried at this sync" in outcome[-1].reason


def test_a_scale_that_could_not_be_read_changes_nothing() -> None:
    """Such a sync has neither replicas nor a proposal; the HPA is still new after it."""
    trace = named("02a")
    first = syncs_of(trace)[0]
    failed = {"kind": "sync", "t": 1.0, "n": 0, "scale_get_code": 404, "proposal": None, "set_replicas": None}
    trace["events"].insert(trace["events"].index(first), failed)
    outcome = replayed(trace)
    assert (outcome[0].proposal, outcome[0].desired, outcome[0].limited_by) == (None, None, None)
    assert "404" in outcome[0].reason
    assert all(sync.agrees for sync in outcome)


def test_a_spec_that_was_not_returned_is_read_as_submitted() -> None:
    """The API server fills in defaults, and so does the reading."""
    trace = named("05a")
    trace["hpa_spec_submitted"] = trace.pop("hpa_spec")
    assert all(sync.agrees for sync in replayed(trace))


def test_a_scenario_that_never_ran_needs_no_spec() -> None:
    """Its HPA was refused; there is nothing to decide."""
    assert replayed({"name": "refused", "hpa_spec": None, "error": "422", "events": []}) == []


@pytest.mark.parametrize(
    ("document", "patch", "merged"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": None, "e": 4}}, {"a": 1, "b": {"d": 3, "e": 4}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": 1}, {"a": None, "b": None}, {}),
        ({}, {}, {}),
    ],
)
def test_merge_patch(document: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]) -> None:
    """RFC 7386: null deletes, mappings merge, all else replaces."""
    assert merge_patch(document, patch) == merged


def test_a_patch_that_the_api_server_would_refuse_names_its_time() -> None:
    """The scenario, the time of the patch and the field."""
    trace = named("24")
    patched = next(event for event in trace["events"] if event.get("action") == "hpa-spec")
    patched["patch"] = {"maxReplicas": 0}
    with pytest.raises(UsageError) as caught:
        replayed(trace)
    assert caught.value.what.startswith("trace.json: scenario 24-spec-change, spec patched at 10.613 s: maxReplicas: ")


def broken(**changes: Any) -> dict[str, Any]:
    trace = named("02a")
    syncs_of(trace)[2].update(changes)
    return trace


@pytest.mark.parametrize(
    ("trace", "what"),
    [
        (broken(t="soon"), "sync 3: t: "),
        (broken(n=None), "n: "),
        (broken(scale_spec_replicas="2"), "sync 3: scale_spec_replicas: "),
        (broken(scale_spec_replicas=-1), "sync 3: scale_spec_replicas: "),
        (broken(scale_spec_replicas=None), "sync 3: scale_spec_replicas: Field required"),
        (broken(queries=[{"metric": "load", "values": {"p1": "ten"}}]), "sync 3: queries[0].values.p1: 'ten' is not"),
        (
            broken(queries=[{"metric": "load", "external": ["1"]}]),
            "sync 3: the query of metric load has neither 'values'",
        ),
        (broken(pods={"p1": {"phase": "Sleeping", "ready": True}}), "sync 3: pods.p1.phase: "),
        ({**named("02a"), "hpa_spec": {}}, "scenario 02a-tolerance-11-11: hpa_spec: maxReplicas: "),
        ({**named("02a"), "events": [{"kind": "pod"}, {"kind": "sync"}]}, "events[1]: t: "),
        ({**named("02a"), "events": [{"kind": "action", "t": 1}]}, "events[0]: action: "),
        ({**named("02a"), "controller_flags": {"horizontal-pod-autoscaler-sync-period": 2}}, "controller_flags"),
        ({"name": "empty"}, "scenario empty: events: "),
        ([{"events": []}], "trace 1: name: "),
        ([7], "trace 1: "),
    ],
)
def test_a_malformed_trace_names_file_scenario_sync_and_field(trace: dict[str, Any], what: str) -> None:
    """One line that leads to the place."""
    with pytest.raises(UsageError) as caught:
        replayed(trace)
    assert caught.value.what.startswith("trace.json: ")
    assert what in caught.value.what
    assert "\n" not in caught.value.what


def test_an_external_metric_needs_external_values() -> None:
    """Samples of pods are no answer to it."""
    trace = named("14a")
    syncs_of(trace)[0]["queries"] = [{"metric": "queue", "values": {"p1": "1"}}]
    with pytest.raises(UsageError, match="neither 'external'"):
        replayed(trace)
