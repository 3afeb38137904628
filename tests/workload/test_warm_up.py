from flyball.spec import Arrivals, Lengths, WorkloadShape
from flyball.workload import Recordings, Trace, Workload, warm_up


def test_warm_up_requests_are_alike_and_not_the_same() -> None:
    """The same lengths' distribution, other texts, from a few clients, however the workload arrives."""
    shape = WorkloadShape(arrivals=Arrivals(poisson=0.001), output_tokens=Lengths(fixed=7), shared_prefix_tokens=4)
    workload = Workload.generate(shape, seed=3, duration_s=10.0)
    warm = warm_up(workload, 20)
    requests = list(warm)
    assert len(requests) == 20
    assert warm.concurrency == 8
    assert warm_up(workload, 3).concurrency == 3
    assert {request.output_tokens for request in requests} == {7}
    measured = list(Workload.generate(shape, seed=3, count=20))
    assert not {request.prompt_seed for request in requests} & {request.prompt_seed for request in measured}
    first_words = {tuple(warm.prompt(request).split()[:4]) for request in requests}
    assert first_words == {tuple(workload.prompt(measured[0]).split()[:4])}


def test_a_traces_warm_up_has_the_traces_lengths() -> None:
    """Lengths that the trace brings are drawn from for its warm-up, without waiting for its times."""
    shape = WorkloadShape(arrivals=Arrivals(trace="t"))
    trace = Trace(arrival_s=(0.0, 500.0), prompt_tokens=(11, 12), output_tokens=(21, 22))
    workload = Workload.generate(shape, recordings=Recordings(trace=trace))
    requests = list(warm_up(workload, 30))
    assert {request.prompt_tokens for request in requests} == {11, 12}
    assert {request.output_tokens for request in requests} == {21, 22}
    assert {request.arrival_s for request in requests} == {None}


def test_a_trace_of_times_alone_is_warmed_up_by_the_shapes_lengths() -> None:
    """Where the trace has no lengths, those of the shape are drawn."""
    shape = WorkloadShape(arrivals=Arrivals(trace="t"), prompt_tokens=Lengths(fixed=5))
    workload = Workload.generate(shape, recordings=Recordings(trace=Trace(arrival_s=(0.0,))))
    assert {request.prompt_tokens for request in warm_up(workload, 5)} == {5}
