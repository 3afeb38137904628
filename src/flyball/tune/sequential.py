"""Whether an objective holds at a rate, decided after as few requests as the evidence allows. Pure.

Wald's sequential probability ratio test on "this request met the bound", one for each percentile of the SLO. Requests
are judged in the order of their arrival, whatever order they end in: fast answers end first, and counting those first
would favour a rate that is too high.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from flyball.measurement import RequestRecord
from flyball.measurement.judging import latency
from flyball.spec import SLO, LatencyMetric

ERROR_RATE = 0.05
"""Of either kind, where the true share is at one of the two hypotheses."""
LIMIT = math.log((1 - ERROR_RATE) / ERROR_RATE)
"""Wald's, for both errors alike."""
HOLDS_FOR, MISSED_FOR = 2.5, 2.5
"""Requests that share a queue are late together, which the test takes for independent evidence, and a queue takes time
to grow. So arrivals are watched this many times as long as a request may stay before either answer is believed..."""
OVERWHELMING = 5.0
"""... unless the evidence against the rate is this many times what the test asks for."""

Verdict = Literal["held", "missed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypotheses:
    """Shares of good requests: `good` and better must be accepted, `bad` and worse refused; between them either may."""

    good: float
    bad: float

    @classmethod
    def around(cls, percentile: int) -> "Hypotheses":
        """For "`percentile` % of requests are good": half the allowed misses, and twice as many."""
        share = percentile / 100
        allowed = min(1 - share, 0.1)
        return cls(good=share + allowed / 2, bad=share - allowed)


@dataclass(slots=True, kw_only=True)
class SequentialTest:
    """One objective's test. `verdict` is None while more requests are needed."""

    hypotheses: Hypotheses
    count: int = 0
    good: int = 0

    def add(self, is_good: bool) -> None:
        self.count += 1
        self.good += is_good

    @property
    def log_ratio(self) -> float:
        """Logarithm of how much likelier the data are if the objective holds."""
        better, worse = self.hypotheses.good, self.hypotheses.bad
        bad = self.count - self.good
        return self.good * math.log(better / worse) + bad * math.log((1 - better) / (1 - worse))

    @property
    def verdict(self) -> Verdict | None:
        return "held" if self.log_ratio >= LIMIT else "missed" if self.log_ratio <= -LIMIT else None

    @property
    def leaning(self) -> Verdict:
        """What the data speak for, however little."""
        return "held" if self.log_ratio > 0 else "missed"


@dataclass(slots=True, kw_only=True)
class ObjectiveTest:
    """All objectives of an SLO over one load: it holds once all hold, and is missed once one is.

    Requests due before `settled_s` find an engine that is still filling up, and count for nothing.
    """

    slo: SLO
    settled_s: float
    most: int
    """Requests after which it is decided either way, once arrivals have been watched for long enough."""
    tests: dict[tuple[LatencyMetric, int, float], SequentialTest] = field(init=False)
    _ended: dict[int, RequestRecord] = field(default_factory=dict)
    _next: int = 0
    _watched_s: float = 0.0
    judged: int = 0

    def __post_init__(self) -> None:
        self.tests = {each: SequentialTest(hypotheses=Hypotheses.around(each[1])) for each in self.slo.objectives()}

    def add(self, record: RequestRecord) -> None:
        """A request that has ended; index from 0, none left out."""
        self._ended[record.index] = record
        while self.verdict is None and (found := self._ended.pop(self._next, None)) is not None:
            self._next += 1
            if found.intended_s >= self.settled_s and found.outcome != "cancelled":
                self._judge(found)

    def _judge(self, record: RequestRecord) -> None:
        self.judged += 1
        self._watched_s = record.intended_s - self.settled_s
        for (metric, _, bound), test in self.tests.items():
            value = latency(record, metric)
            if record.failed:
                test.add(False)
            elif value is not None:
                test.add(value <= bound)

    @property
    def verdict(self) -> Verdict | None:
        if self.judged >= self.most and self._watched_s >= HOLDS_FOR * self.settled_s:
            return self.leaning
        verdicts = [test.verdict for test in self.tests.values()]
        if "missed" in verdicts:
            worst = min(test.log_ratio for test in self.tests.values())
            sure = self._watched_s >= MISSED_FOR * self.settled_s or worst <= -OVERWHELMING * LIMIT
            return "missed" if sure else None
        watched = self._watched_s >= HOLDS_FOR * self.settled_s
        return "held" if watched and all(verdict == "held" for verdict in verdicts) else None

    @property
    def leaning(self) -> Verdict:
        """Of the evidence so far; without any, missed."""
        return "held" if self.judged and all(test.leaning == "held" for test in self.tests.values()) else "missed"
