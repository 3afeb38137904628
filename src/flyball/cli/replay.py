"""`flyball replay`: what the law decides at the syncs that a real controller made."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from flyball.cli.spec_file import read_text
from flyball.errors import UsageError
from flyball.scaling import ReplayedSync, Trace, read_traces
from flyball.scaling import replay as replay_trace

_LINE = "{n:>4}  {t:>9}  {replicas:>9}  {proposal:>8}  {limited_by:<21}  {recorded:<9}  {reason}"


def replay(
    trace: Path,
    /,
    *,
    scenario: str | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Replay recorded HPA syncs through the scaling law and explain every decision.

    Exit code 1 if a sync came out differently, other than those that the recorder marks as a race (pod_change_nearby,
    history_edge).

    Parameters
    ----------
    trace
        A JSON file: one trace or a list of them. A trace has `name`, `hpa_spec` (autoscaling/v2), optionally
        `controller_flags`, and `events` in order of `t` (seconds). An event of kind `sync` has n, t,
        scale_spec_replicas, scale_status_replicas, queries [{metric, values {pod: quantity} | external [quantity] |
        error}], pods {name: {phase, ready, deleting}} and proposal_t; where it also has proposal, set_replicas and
        set_t, what the controller did is compared. An event of kind `action` is hpa-spec (patch: a JSON merge patch of
        the spec) or hpa-deleted.
    scenario
        Replay only the trace of this name.
    output
        table: a line for each sync; json: an array with one object for each sync.

    """
    traces = _named(read_traces(_document(trace), source=str(trace)), scenario, trace)
    syncs: list[ReplayedSync] = []
    for each in traces:
        of_trace = list(replay_trace(each, source=str(trace)))
        syncs += of_trace
        if output == "table":
            _print_account(each, of_trace)
    if output == "json":
        print("[\n" + ",\n".join(json.dumps(_row(sync)) for sync in syncs) + "\n]")
    print(_summary(syncs), file=sys.stderr if output == "json" else sys.stdout)
    return 1 if any(sync.agrees is False and not sync.sync.racy for sync in syncs) else 0


def _document(path: Path) -> object:
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}", fix="`flyball replay --help` describes a trace") from error


def _named(traces: list[Trace], scenario: str | None, path: Path) -> list[Trace]:
    if scenario is None:
        return traces
    chosen = [trace for trace in traces if trace.name == scenario]
    if not chosen:
        names = ", ".join(trace.name for trace in traces)
        raise UsageError(f"{path} has no scenario {scenario!r}", fix=f"it has: {names}")
    return chosen


def _row(sync: ReplayedSync) -> dict[str, Any]:
    row = {
        "scenario": sync.scenario,
        "n": sync.sync.n,
        "t": sync.sync.t,
        "proposal": sync.proposal,
        "desired": sync.desired,
        "reason": sync.reason,
        "limited_by": sync.limited_by,
    }
    if sync.agrees is not None:
        recorded = {"recorded_proposal": sync.sync.proposal, "recorded_desired": sync.sync.replicas_after}
        row |= {**recorded, "agrees": sync.agrees}
    return row


def _print_account(trace: Trace, syncs: list[ReplayedSync]) -> None:
    print(f"{trace.name}: {trace.description}" if trace.description else trace.name)
    if trace.error:
        print(f"did not run as written: {trace.error}")
    heads = {"n": "sync", "t": "t (s)", "replicas": "replicas", "proposal": "proposal", "limited_by": "limited by"}
    print(_LINE.format(**heads, recorded="recorded", reason="reason"))
    for sync in syncs:
        print(
            _LINE.format(
                n=sync.sync.n,
                t=f"{sync.at_s:.3f}",
                replicas=f"{_text(sync.sync.scale_spec_replicas)} -> {_text(sync.desired)}",
                proposal=_text(sync.proposal),
                limited_by=sync.limited_by or "-",
                recorded=_comparison(sync),
                reason=sync.reason,
            )
        )
    print()


def _comparison(sync: ReplayedSync) -> str:
    if sync.agrees is None:
        return "-"
    if sync.agrees:
        return "same"
    return f"{_text(sync.sync.proposal)}, -> {_text(sync.sync.replicas_after)}"


def _text(replicas: int | None) -> str:
    return "-" if replicas is None else str(replicas)


def _summary(syncs: list[ReplayedSync]) -> str:
    compared = [sync for sync in syncs if sync.agrees is not None]
    if not compared:
        return f"{len(syncs)} syncs replayed; the trace does not say what the controller decided"
    different = [sync for sync in compared if not sync.agrees]
    text = f"{len(compared) - len(different)} of {len(compared)} syncs as recorded"
    if not different:
        return text
    racy = sum(sync.sync.racy for sync in different)
    first = different[0]
    return (
        f"{text}, the first other is sync {first.sync.n} of {first.scenario}; {racy} of the others are marked as races"
    )
