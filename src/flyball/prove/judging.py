"""From what was recorded to what it proves. Pure: timelines and records in, criteria out."""

import math
from collections.abc import Iterable, Sequence

from flyball.local.timeline import FleetSample, Timeline
from flyball.measurement import ObjectiveResult, RequestRecord, Summary, objective_results
from flyball.prove.verdict import Criterion, LoadRun
from flyball.spec import SLO, Signal

SYNCS_TO_DECIDE = 2  # a decision may take the sync that sees the metric and, if a scrape was missed, one more
CLEAN_END_S = 10.0  # a stream cut by a dead replica must be told so, not left hanging


def judge_answer(question: str, answer: str, expected: str, tokens: int, seconds: float) -> Criterion:
    """A real answer to a real question."""
    shown = " ".join(answer.split())
    return Criterion(
        number=1,
        passed=expected.lower() in answer.lower() and tokens > 0,
        finding=f"“{question}” got “{shown[:120]}” ({tokens} tokens in {seconds:.1f} s)",
        numbers={"tokens": tokens, "seconds": seconds},
    )


def judge_baseline(load: LoadRun, slo: SLO, replicas: int) -> Criterion:
    """The objective holds under the baseline load."""
    results = objective_results(Summary.of(load.records), slo)
    failed = sum(record.failed for record in load.records)
    return Criterion(
        number=2,
        passed=failed == 0 and all(result.holds for result in results),
        finding=f"{load.rate:g} requests/s, {len(load.records)} requests, {failed} failed: {_objectives(results)}",
        numbers={"rate": load.rate, "requests": len(load.records), "failed": failed, **_measured(results)},
    )


def judge_step(
    load: LoadRun, capacity: float, timeline: Timeline, slo: SLO, *, until_s: float, max_num_seqs: int
) -> Criterion:
    """The step is more than one replica can hold: above its measured capacity, and its queue shows it."""
    alone = [sample for sample in timeline.samples if load.start_s <= sample.t_s < until_s]
    peak = max((sample.in_system for sample in alone), default=0.0)
    early = [record for record in load.records if record.intended_s < until_s]
    results = objective_results(Summary.of(early), slo)
    rate = load.rate or 0.0
    return Criterion(
        number=3,
        passed=rate > capacity and peak > max_num_seqs,
        finding=(
            f"{rate:.2f} requests/s against a measured {capacity:.2f}; until help was ready up to {peak:.0f} requests "
            f"were in the system, of which {max_num_seqs} can run at once: {_objectives(results)}"
        ),
        numbers={"rate": rate, "capacity": capacity, "peak_in_system": peak, **_measured(results)},
    )


def crossed_s(timeline: Timeline, signal: Signal, target: float, tolerance: float, *, start_s: float) -> float | None:
    """Since when the signal had lain above what the replicas bear, tolerance included, once more were asked for.

    A signal that falls back at once, as a few requests at once make it, asks for nothing.
    """
    crossed: float | None = None
    samples = [sample for sample in timeline.samples if sample.t_s >= start_s]
    for sample in samples:
        if sample.desired > samples[0].desired:
            return sample.t_s if crossed is None else crossed
        above = _signal(sample, signal) > target * (1 + tolerance) * sample.desired
        crossed = (sample.t_s if crossed is None else crossed) if above else None
    return crossed


def judge_scale_out(
    timeline: Timeline, *, crossed: float | None, start_s: float, expected: int, initial: int, sync_period_s: float
) -> Criterion:
    """Two clocks: when the law wanted N replicas, and when N were ready."""
    decided = next(
        (sync.t_s for sync in timeline.syncs if sync.t_s >= start_s and sync.decision.desired > initial), None
    )
    desired = next(
        (sync.t_s for sync in timeline.syncs if sync.t_s >= start_s and sync.decision.desired >= expected), None
    )
    ready = ready_s(timeline, expected, start_s=start_s)
    in_time = None not in (crossed, decided) and (decided or 0) - (crossed or 0) <= SYNCS_TO_DECIDE * sync_period_s
    return Criterion(
        number=4,
        passed=in_time and desired is not None and ready is not None,
        finding=(
            f"after the step: signal crossed {_after(crossed, start_s)}, scale-out decided {_after(decided, start_s)}, "
            f"desired = {expected} {_after(desired, start_s)}, ready = {expected} {_after(ready, start_s)}"
        ),
        numbers={"crossed_s": crossed, "decided_s": decided, "desired_s": desired, "ready_s": ready, "step_s": start_s},
    )


def ready_s(timeline: Timeline, count: int, *, start_s: float) -> float | None:
    """When `count` replicas were first ready at once, to the sample."""
    return next((sample.t_s for sample in timeline.samples if sample.t_s >= start_s and sample.ready >= count), None)


def judge_regained(window: tuple[float, Sequence[ObjectiveResult]] | None, *, ready: float, hold_s: float) -> Criterion:
    """The objective holds again once N replicas are ready."""
    if window is None:
        finding = f"no stretch of {hold_s:.0f} s met the objective"
        return Criterion(number=5, passed=False, finding=finding, numbers={"ready_s": ready})
    start, results = window
    return Criterion(
        number=5,
        passed=True,
        finding=f"from {start - ready:.0f} s after they were ready, for {hold_s:.0f} s: {_objectives(results)}",
        numbers={"regained_after_s": start - ready, "hold_s": hold_s, **_measured(results)},
    )


def judge_scale_back(
    timeline: Timeline, streams: LoadRun, others: Iterable[RequestRecord], *, stopped_s: float, minimum: int
) -> Criterion:
    """Back to the minimum without breaking a stream that ran when its replica was told to drain."""
    drains = [event for event in timeline.events if event.kind == "drain" and event.t_s >= stopped_s]
    back = next(
        (
            sample.t_s
            for sample in timeline.samples
            if sample.t_s >= stopped_s and sample.desired <= minimum and len(sample.replicas) <= minimum
        ),
        None,
    )
    on_drained = sum(_running_on(timeline, event.replica, event.t_s) for event in drains)
    records = [*streams.records, *others]
    broken = [record for record in records if record.failed]
    return Criterion(
        number=6,
        passed=back is not None and not broken and on_drained > 0,
        finding=(
            f"back to {_replicas(minimum)} {_after(back, stopped_s)} after the load ended; {len(drains)} drained with "
            f"{on_drained:.0f} streams running on them, {len(broken)} of {len(records)} broken"
        ),
        numbers={
            "back_after_s": None if back is None else back - stopped_s,
            "drained": len(drains),
            "streams_on_drained": on_drained,
            "broken": len(broken),
        },
    )


def judge_kill(
    records: Sequence[RequestRecord], *, killed_s: float, healed_s: float | None, retries: int, name: str
) -> Criterion:
    """A replica dies: what had no first byte is answered elsewhere, the rest ends cleanly, the fleet heals."""
    during = [record for record in records if record.sent_s is not None and record.sent_s <= killed_s < record.end_s]
    unanswered = [record for record in during if record.first_token_s is None or record.first_token_s > killed_s]
    streaming = [record for record in during if record.first_token_s is not None and record.first_token_s <= killed_s]
    lost = [record for record in unanswered if record.failed]
    cut = [record for record in streaming if record.failed]
    hung = [record for record in cut if record.end_s > killed_s + CLEAN_END_S]
    later = [record for record in records if record.intended_s > killed_s and record.failed]
    return Criterion(
        number=7,
        passed=not lost and not hung and not later and retries > 0 and healed_s is not None,
        finding=(
            f"{name} got SIGKILL: of {len(unanswered)} requests without a first byte {len(lost)} failed, {retries} "
            f"moved to another replica unseen; of {len(streaming)} streams {len(cut)} were cut, {len(hung)} left "
            f"hanging; {len(later)} later requests failed; healed after {_after(healed_s, killed_s)}"
        ),
        numbers={
            "unanswered": len(unanswered),
            "lost": len(lost),
            "retries": retries,
            "streaming": len(streaming),
            "cut": len(cut),
            "hung": len(hung),
            "failed_later": len(later),
            "healed_after_s": None if healed_s is None else healed_s - killed_s,
        },
    )


def judge_nothing_left(leftovers: Sequence[str], seconds: float) -> Criterion:
    """No process of the fleet outlives it."""
    return Criterion(
        number=8,
        passed=not leftovers,
        finding=f"stopped in {seconds:.0f} s; {len(leftovers)} processes left {', '.join(leftovers)}".rstrip(),
        numbers={"left": len(leftovers), "seconds": seconds},
    )


def _signal(sample: FleetSample, signal: Signal) -> float:
    match signal:
        case "in_system":
            return sample.in_system
        case "waiting":
            return sample.waiting
        case "kv":
            return sum(replica.kv_cache_usage or 0.0 for replica in sample.replicas)


def _running_on(timeline: Timeline, replica: str | None, at_s: float) -> float:
    """Streams on `replica` in the first sample after it left the endpoints: they ran when it was told to drain."""
    for sample in timeline.samples:
        if sample.t_s >= at_s:
            return sum(member.running or 0.0 for member in sample.replicas if member.name == replica)
    return 0.0


def _measured(results: Iterable[ObjectiveResult]) -> dict[str, float | None]:
    """By name, in seconds; None without data and where failed requests reach down to the percentile."""
    return {f"{result.metric}_p{result.percentile}_s": result.to_dict()["measured_s"] for result in results}


def _objectives(results: Iterable[ObjectiveResult]) -> str:
    parts = []
    for result in results:
        if result.measured_s is None:
            measured = "nothing measured"
        elif math.isinf(result.measured_s):
            measured = "failed requests"
        else:
            measured = f"{result.measured_s * 1000:,.0f} ms"
        sign = "≤" if result.holds else ">"
        parts.append(f"{result.metric.upper()} p{result.percentile} {measured} {sign} {result.bound_s * 1000:,.0f} ms")
    return ", ".join(parts)


def _after(at_s: float | None, start_s: float) -> str:
    return "never" if at_s is None else f"{at_s - start_s:.1f} s"


def _replicas(count: int) -> str:
    return f"{count} replica" if count == 1 else f"{count} replicas"
