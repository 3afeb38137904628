"""One sync of the HorizontalPodAutoscaler, as a pure function (`reconcileAutoscaler` of horizontal.go, 1.36)."""

from flyball.scaling.decision import Decision, LimitedBy, Proposal
from flyball.scaling.history import ScalingState, begin, remember
from flyball.scaling.limits import limit, stabilise
from flyball.scaling.observation import Observation
from flyball.scaling.policy import ScalingPolicy
from flyball.scaling.proposal import propose


def step(
    policy: ScalingPolicy, state: ScalingState, observation: Observation, now_s: float
) -> tuple[Decision, ScalingState]:
    """The decision at `now_s` (seconds of any clock that does not go back) and the state for the next sync.

    The state remembers the proposal, not the write: the controller stores a scale event when its write has completed.
    A caller that carries `Decision.desired` out calls `record_scale` with that time (`now_s` itself where setting
    replicas takes none); a write that failed is not recorded.
    """
    state = begin(state, observation.spec_replicas, now_s)
    current = observation.spec_replicas
    corrected = _out_of_bounds(policy, current)
    if corrected is not None:
        return corrected, state

    tolerances = policy.tolerances
    pairs = zip(policy.metrics, observation.readings, strict=True)
    proposals = tuple(propose(metric, observation, reading, tolerances) for metric, reading in pairs)
    winner = _highest(proposals)
    failed = [proposal for proposal in proposals if proposal.replicas is None]
    if winner is None or winner.replicas is None:
        return _held(current, LimitedBy.NO_METRIC, "no metric could be read", proposals), state
    if failed and winner.replicas < current:
        why = f"the other metrics propose {winner.replicas}, but nothing scales down while one is missing"
        return _held(current, LimitedBy.PARTIAL_METRICS, why, proposals), state

    proposed = max(winner.replicas, 0)
    stabilised = stabilise(policy, state, current, proposed, now_s)
    limited = limit(policy, state, current, stabilised.replicas, now_s)
    rules = [rule.limited_by for rule in (limited, stabilised, winner) if rule.limited_by != LimitedBy.NONE]
    decision = Decision(
        current=current,
        desired=limited.replicas,
        proposal=winner.replicas,
        metric=winner.metric,
        limited_by=rules[0] if rules else LimitedBy.NONE,
        reason="; ".join(text for text in (_explained(winner, proposals), stabilised.detail, limited.detail) if text),
        proposals=proposals,
    )
    return decision, remember(policy, state, proposed, now_s)


def _out_of_bounds(policy: ScalingPolicy, current: int) -> Decision | None:
    """Corrections for which no metric is read and which windows and rate policies do not slow down."""
    if current == 0:
        desired, rule, why = 0, LimitedBy.ZERO_REPLICAS, "scaling is off while the target has 0 replicas"
    elif current > policy.max_replicas:
        desired, rule = policy.max_replicas, LimitedBy.ABOVE_MAX
        why = f"{current} replicas are more than maxReplicas {desired}: corrected at once"
    elif current < policy.min_replicas:
        desired, rule = policy.min_replicas, LimitedBy.BELOW_MIN
        why = f"{current} replicas are fewer than minReplicas {desired}: corrected at once"
    else:
        return None
    return Decision(current=current, desired=desired, proposal=None, metric=None, limited_by=rule, reason=why)


def _highest(proposals: tuple[Proposal, ...]) -> Proposal | None:
    """The proposal that wins. Of equal ones the first, except that anything replaces a 0, as in the controller."""
    winner: Proposal | None = None
    for proposal in proposals:
        if proposal.replicas is not None and (
            winner is None or not winner.replicas or proposal.replicas > winner.replicas
        ):
            winner = proposal
    return winner


def _held(current: int, rule: LimitedBy, why: str, proposals: tuple[Proposal, ...]) -> Decision:
    return Decision(
        current=current,
        desired=current,
        proposal=None,
        metric=None,
        limited_by=rule,
        reason=f"{why} ({_failures(proposals)}): {current} stays",
        proposals=proposals,
    )


def _explained(winner: Proposal, proposals: tuple[Proposal, ...]) -> str:
    if len(proposals) == 1:
        return winner.detail
    failures = _failures(proposals)
    return f"{winner.metric}: {winner.detail}" + (f", without {failures}" if failures else "")


def _failures(proposals: tuple[Proposal, ...]) -> str:
    return "; ".join(f"{proposal.metric}: {proposal.detail}" for proposal in proposals if proposal.replicas is None)
