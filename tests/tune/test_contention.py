"""Waiting for a processor."""

import os
import threading

import pytest

from flyball.tune.contention import Waiting, waited_share


def _at(seconds: float, **waited: float) -> Waiting:
    return Waiting(at_s=seconds, waited_s={int(thread[1:]): spent for thread, spent in waited.items()})


def test_it_is_a_share_of_what_the_processors_have() -> None:
    """5 seconds waited, 2 of them by a thread that was started meanwhile, of 20; threads that ended count no more."""
    assert waited_share(_at(0, t1=1, t3=9), _at(10, t1=4, t2=2), processors=2) == pytest.approx(0.25)
    assert waited_share(_at(0, t1=1), _at(10), processors=2) == 0.0
    assert waited_share(_at(0), _at(1, t1=50), processors=2) == 1.0


def test_more_threads_than_processors_wait() -> None:
    """By the kernel's own count, in this process: what one processor does in turns, all but one wait for."""
    if not Waiting.now().waited_s:
        pytest.skip("needs Linux with scheduler statistics")
    before = Waiting.now()
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mine)})
    try:
        threads = [threading.Thread(target=lambda: [hash(bytes(2**20)) for _ in range(100)]) for _ in range(3)]
        for thread in threads:
            thread.start()
        meanwhile = Waiting.now()
        for thread in threads:
            thread.join()
    finally:
        os.sched_setaffinity(0, mine)
    assert set(before.waited_s) < set(meanwhile.waited_s)
    assert sum(Waiting.now().waited_s.values()) > sum(before.waited_s.values())
