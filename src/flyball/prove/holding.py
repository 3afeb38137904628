"""The first stretch of a load that meets the objective, looked for while the load runs."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from flyball.measurement import ObjectiveResult, RequestRecord, Summary, objective_results
from flyball.spec import SLO


class HoldSearch:
    """Looks at stretches of `hold_s` seconds, from `start_s` or from any later arrival, each once all of it ended.

    `intended_s` are the load's arrivals in order, so that a request still under way is missed and not overlooked.
    """

    def __init__(self, intended_s: Sequence[float], slo: SLO, *, hold_s: float, start_s: float) -> None:
        self.found: tuple[float, Sequence[ObjectiveResult]] | None = None
        """The start of the stretch and its results."""
        self._intended_s = intended_s
        self._slo = slo
        self._hold_s = hold_s
        self._starts = [start_s, *(arrival for arrival in intended_s if arrival > start_s)]
        self._next = 0

    def found_in(self, records: Mapping[int, RequestRecord]) -> bool:
        """Whether a stretch has met the objective by now, every request of it answered; `records` are by index."""
        while self.found is None and self._next < len(self._starts):
            start = self._starts[self._next]
            inside = range(bisect_left(self._intended_s, start), bisect_left(self._intended_s, start + self._hold_s))
            if not inside or any(index not in records for index in inside):
                return False
            window = [records[index] for index in inside]
            results = objective_results(Summary.of(window), self._slo)
            if all(result.holds for result in results) and all(record.outcome == "ok" for record in window):
                self.found = start, results
            self._next += 1  # a stretch that ended without holding will never hold
        return self.found is not None
