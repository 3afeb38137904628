"""`EngineReplica`: one vLLM engine in virtual time. The scheduler decides a step, the step model gives its seconds.

vLLM schedules ahead (`--async-scheduling`, the default): while the device computes a step, the host schedules and
launches the next one, and only then looks at the outcome of the first. So what arrives during a step joins the step
after the next one, and an answer waits for the launches of the step behind it where no CUDA graph covers them.
"""

from math import inf, sqrt
from typing import NamedTuple

from flyball.perf.scheduler import Scheduler, Sequence, Step
from flyball.perf.step_model import StepModel

MAX_DELIVERY_LOAD = 0.9
"""The share of the API server's process that tokens on their way out may take from requests on their way in.

Fitted on closed loops of 128 to 256 clients on an H200: an event loop serves both in turn, so neither starves.
"""


class Outcome(NamedTuple):
    """What a step, or the last of an equal run, yields at `at_s`."""

    at_s: float
    step: Step


class EngineReplica:
    """Give it sequences with `submit`, and time with `advance`, both in order of time."""

    def __init__(self, model: StepModel, *, kv_cache_tokens: int, async_scheduling: bool = True) -> None:
        settings = model.settings
        self.model = model
        self.async_scheduling = async_scheduling
        self.scheduler = Scheduler(
            max_num_seqs=settings.max_num_seqs,
            max_num_batched_tokens=settings.max_num_batched_tokens,
            num_blocks=kv_cache_tokens // settings.block_size,
            block_size=settings.block_size,
        )
        self.busy_s = 0.0
        """Time that the device has spent on steps."""
        self.stepped_s = 0.0
        """When the newest step was scheduled, or the engine fell idle."""
        self.delivery_load = 0.0
        """Share of the API server's process that the newest step's tokens take while it lasts."""
        self._host_free_s = 0.0
        self._launched_s = 0.0
        """When the newest step (the first of an equal run) was launched."""
        self._device_free_s = 0.0
        """When the newest step will be computed, and the one before it."""
        self._device_before_s = 0.0
        self._ready_s = 0.0
        self._unseen: Step | None = None
        """The newest step, whose outcome the host has not yet looked at."""

    def submit(self, sequence: Sequence, now_s: float) -> None:
        """Queue it. ValueError if the KV cache cannot hold it even alone."""
        if not self.scheduler.has_work:
            # The host waits for the step in flight, unless it has yet to look for the next one.
            may_join = now_s <= self._next_look_s
            self._ready_s = now_s if may_join else max(now_s, self._device_free_s)
            if not may_join:
                self.scheduler.release_finished()
        self.scheduler.add(sequence)

    @property
    def _next_look_s(self) -> float:
        """When the host is free to schedule a step: one ahead of the device, or none."""
        return max(self._host_free_s, self._device_before_s if self.async_scheduling else self._device_free_s)

    def advance(self, until_s: float = inf) -> Outcome | None:
        """Schedule the next step (or an equal run of them), if that happens before `until_s`; None if nothing does.

        A run ends before `until_s` too, so that what arrives then can join, unless it could only queue.
        Returns the outcome that the host has now seen: of the step before, since it schedules ahead. Outcomes may lie
        after `until_s`; their times never fall.
        """
        scheduler, ahead = self.scheduler, self.async_scheduling
        while scheduler.has_work:
            # `_next_look_s`, or when something came, if that is later.
            device_s = self._device_before_s if ahead else self._device_free_s
            start_s = max(self._host_free_s, device_s, self._ready_s)
            if start_s >= until_s:
                return None
            unseen, computed_s = self._unseen, self._device_free_s
            self._take_step(start_s, until_s)
            if unseen is not None:
                return Outcome(max(computed_s, self._launched_s) if ahead else computed_s, unseen)
        unseen = self._unseen
        if unseen is None or until_s <= self._next_look_s:
            return None
        self._unseen = None
        self.stepped_s, self.delivery_load = self._device_free_s, 0.0
        scheduler.release_finished()
        return Outcome(self._device_free_s, unseen)

    def _take_step(self, start_s: float, until_s: float) -> None:
        model, before_s = self.model, self._device_free_s
        step = self.scheduler.schedule(self._steps_before(start_s, until_s))
        prefilling, decoding = step.prefill_sequences, step.decode_sequences
        device_s = model.device(step.prefill_tokens, step.prefill_pairs, prefilling, decoding, step.context_tokens)
        prepare_s, launch_s = model.host(step.prefill_tokens, prefilling, decoding)
        delivery_s = model.delivery(prefilling + decoding)
        launched_s = start_s + prepare_s + launch_s
        ended_s = max(max(before_s, start_s + prepare_s) + device_s, launched_s, before_s + delivery_s)
        self.delivery_load = min(MAX_DELIVERY_LOAD, delivery_s / (ended_s - before_s))
        self.stepped_s, self._launched_s, self._unseen = start_s, launched_s, step
        self._host_free_s, self._device_free_s, self._device_before_s = launched_s, ended_s, before_s
        self.busy_s += device_s
        if step.steps > 1:
            self._repeat(step, prepare_s + launch_s, delivery_s)

    def _repeat(self, step: Step, host_s: float, delivery_s: float) -> None:
        """All steps of an equal run after its first: their time grows evenly with the context."""
        more, decoding = step.steps - 1, step.decode_sequences
        second_s = self.model.device(0, 0.0, 0, decoding, step.context_tokens + decoding)
        last_s = self.model.device(0, 0.0, 0, decoding, step.context_tokens + more * decoding)
        if not self.async_scheduling:
            second_s, last_s = second_s + host_s, last_s + host_s
        least_s = max(host_s, delivery_s)
        period_s = max(last_s, least_s)
        self.busy_s += more * (second_s + last_s) / 2
        self._device_free_s += more * (max(second_s, least_s) + period_s) / 2
        self._device_before_s = self._device_free_s - period_s
        # A host that is faster than the device runs a step ahead and waits; a slower one is what the device waits for.
        ahead_s = self._device_before_s - period_s + host_s
        self._host_free_s = self._device_free_s if host_s >= period_s else max(self._host_free_s, ahead_s)

    def _steps_before(self, start_s: float, until_s: float) -> int:
        """How many steps of decoding alone would be scheduled before `until_s`, at least one."""
        if self._unseen is not None and (self._unseen.finished or self._unseen.first_tokens):
            return 1  # its outcome, seen while the next step runs, may make a client send again
        if until_s == inf or self.scheduler.waiting:
            # Behind those that wait already, what arrives could not join before something finishes.
            return 1 << 30
        decoding, context = self.scheduler.decoding
        if not decoding:
            return 1
        decode_s = first_s = self.model.decode(decoding, context)
        if not self.async_scheduling:
            first_s += sum(self.model.host(0, 0, decoding))
        # Step n is scheduled when step n - 2 is computed, or step n - 1 without scheduling ahead.
        ahead = 1 if self.async_scheduling else 0
        device_s = max(self._device_free_s, start_s)
        room_s = until_s - device_s - first_s
        if room_s <= 0:
            return 1 + ahead if until_s > device_s else 1
        slope_s = max(0.0, self.model.decode(decoding, context + decoding) - decode_s)
        if slope_s * room_s < 1e-6 * first_s**2:
            return 2 + ahead + int(room_s / first_s)
        return 2 + ahead + int((sqrt(first_s**2 + 2 * slope_s * room_s) - first_s) / slope_s)
