from itertools import islice

import numpy as np
import pytest

from flyball.spec import Arrivals, GammaArrivals, Lengths, LogNormal, WorkloadShape
from flyball.workload import Workload, read_recordings

CHAT = WorkloadShape(arrivals=Arrivals(poisson=10.0))


def test_the_seed_decides_everything() -> None:
    """The same shape and seed give the same requests and texts, another seed gives others."""
    first, again = Workload.generate(CHAT, seed=7, count=200), Workload.generate(CHAT, seed=7, count=200)
    assert list(first) == list(again) == list(first)
    assert [first.prompt(request) for request in first] == [again.prompt(request) for request in again]
    other = list(Workload.generate(CHAT, seed=8, count=200))
    assert not {request.arrival_s for request in other} & {request.arrival_s for request in first}
    assert not {request.prompt_seed for request in other} & {request.prompt_seed for request in first}


def test_one_thing_at_a_time() -> None:
    """Another rate changes the times only, another length only that length: loads compare request by request."""
    base = list(Workload.generate(CHAT, seed=1, count=300))
    faster = list(Workload.generate(CHAT.model_copy(update={"arrivals": Arrivals(poisson=20.0)}), seed=1, count=300))
    for slow, fast in zip(base, faster, strict=True):
        assert slow.arrival_s is not None
        assert fast.arrival_s == pytest.approx(slow.arrival_s / 2)
        assert (fast.prompt_tokens, fast.output_tokens) == (slow.prompt_tokens, slow.output_tokens)
    short = list(Workload.generate(CHAT.model_copy(update={"output_tokens": Lengths(fixed=3)}), seed=1, count=300))
    assert [request.arrival_s for request in short] == [request.arrival_s for request in base]
    assert [request.prompt_tokens for request in short] == [request.prompt_tokens for request in base]


def test_lengths_and_times_are_independent() -> None:
    """Arrival gaps, prompt lengths and output lengths are not correlated."""
    requests = list(Workload.generate(CHAT, seed=3, count=20_000))
    gaps = np.diff([0.0, *(request.arrival_s or 0.0 for request in requests)])
    prompts = np.log([request.prompt_tokens for request in requests])
    outputs = np.log([request.output_tokens for request in requests])
    correlations = np.abs(np.corrcoef([gaps, prompts, outputs])[np.triu_indices(3, 1)])
    assert correlations.max() < 4 / np.sqrt(len(requests))


def test_duration_and_count_both_end_it() -> None:
    """No request arrives at or after the duration, and there are at most `count`."""
    timed = list(Workload.generate(CHAT, seed=2, duration_s=20.0))
    assert timed
    assert all(request.arrival_s is not None and request.arrival_s < 20.0 for request in timed)
    unbounded = Workload.generate(CHAT, seed=2)
    assert list(islice(unbounded, len(timed))) == timed
    beyond = next(islice(unbounded, len(timed), None))
    assert beyond.arrival_s is not None
    assert beyond.arrival_s >= 20.0
    assert list(Workload.generate(CHAT, seed=2, duration_s=20.0, count=5)) == timed[:5]
    assert [request.index for request in timed] == list(range(len(timed)))


def test_a_closed_loop_has_clients_instead_of_times() -> None:
    """A closed loop gives requests without an arrival time and says how many clients send them."""
    workload = Workload.generate(WorkloadShape(arrivals=Arrivals(closed_loop=6)), count=10)
    assert workload.concurrency == 6
    assert [request.arrival_s for request in workload] == [None] * 10
    assert Workload.generate(CHAT).concurrency is None


def test_a_trace_brings_its_own_lengths() -> None:
    """Where the trace has lengths they are used with its times; where it has none the shape's are drawn."""
    shape = WorkloadShape(arrivals=Arrivals(trace="t.csv"), output_tokens=Lengths(fixed=9))
    full = read_recordings(shape, {"t.csv": "arrival_s,prompt_tokens,output_tokens\n0,11,12\n3,21,22\n"}.__getitem__)
    assert [
        (request.arrival_s, request.prompt_tokens, request.output_tokens)
        for request in Workload.generate(shape, recordings=full)
    ] == [(0.0, 11, 12), (3.0, 21, 22)]
    times_only = read_recordings(shape, {"t.csv": "arrival_s\n0\n3\n"}.__getitem__)
    assert [request.output_tokens for request in Workload.generate(shape, recordings=times_only)] == [9, 9]


def test_recordings_are_read_by_the_names_in_the_shape() -> None:
    """Every file that the shape names is read, and no other."""
    asked: list[str] = []

    def read(name: str) -> str:
        asked.append(name)
        return {
            "t": "arrival_s\n0\n",
            "p": "5\n",
            "o": '{"hist": {"input_tokens": {"1": 1}, "output_tokens": {"7": 1}}}',
        }[name]

    shape = WorkloadShape(
        arrivals=Arrivals(trace="t"), prompt_tokens=Lengths(empirical="p"), output_tokens=Lengths(empirical="o")
    )
    (request,) = Workload.generate(shape, recordings=read_recordings(shape, read))
    assert (request.prompt_tokens, request.output_tokens) == (5, 7)
    assert sorted(asked) == ["o", "p", "t"]
    asked.clear()
    read_recordings(CHAT, read)
    assert asked == []


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (WorkloadShape(arrivals=Arrivals(trace="t")), "trace"),
        (WorkloadShape(prompt_tokens=Lengths(empirical="p")), "prompt_tokens"),
        (WorkloadShape(output_tokens=Lengths(empirical="o")), "output_tokens"),
    ],
)
def test_a_named_file_must_be_given(shape: WorkloadShape, name: str) -> None:
    """A shape that names a file cannot be drawn from without what the file holds."""
    with pytest.raises(ValueError, match=f"the recording of {name} is missing"):
        Workload.generate(shape)


def test_prompts_carry_the_shared_prefix() -> None:
    """Prompts of any two workloads share the shape's prefix, as a system prompt is shared, and no more."""
    shape = WorkloadShape(
        arrivals=Arrivals(gamma=GammaArrivals(rate=2.0, cv=2.0)),
        prompt_tokens=Lengths(lognormal=LogNormal(mu=5.0, sigma=0.1, min=64)),
        shared_prefix_tokens=32,
    )
    texts = [
        workload.prompt(request).split()
        for workload in (Workload.generate(shape, seed=seed, count=20) for seed in (0, 1))
        for request in workload
    ]
    assert len({tuple(text[:32]) for text in texts}) == 1
    assert len({tuple(text[32:48]) for text in texts}) == 40
