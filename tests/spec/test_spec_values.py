import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flyball.spec import (
    SLO,
    TEMPLATE,
    Arrivals,
    GammaArrivals,
    Lengths,
    LogNormal,
    Percentiles,
    ServingSpec,
    Step,
    WorkloadShape,
    parse_model,
)
from flyball.units import parse_duration

SCHEMA: dict[str, Any] = ServingSpec.model_json_schema()


def test_the_template_is_valid_as_it_stands() -> None:
    """What `flyball init` writes is read without a change, and means what its comments say."""
    spec = parse_model(ServingSpec, TEMPLATE.format(name="demo", model="org/model"), source="t")
    assert (spec.name, spec.model.id) == ("demo", "org/model")
    assert spec.slo == SLO(ttft=Percentiles(p95=0.2), tpot=Percentiles(p95=0.05))
    assert spec.workload.arrivals == Arrivals(poisson=24.0)
    assert spec.workload.prompt_tokens == Lengths(lognormal=LogNormal(mu=6.0, sigma=0.6, min=8))


def test_the_template_shows_every_section_that_is_not_local() -> None:
    """A new spec shows each section that matters for a cluster; no key in it is spelled wrong in a comment."""
    shown = set(re.findall(r"^#? ?([a-z_]+):", TEMPLATE, flags=re.MULTILINE))
    assert shown == set(ServingSpec.model_fields) - {"gateway", "local", "prove", "tune", "measured"}
    commented = re.findall(r"^  # ([a-z_]+):", TEMPLATE, flags=re.MULTILINE)
    assert commented == ["revision", "quantization", "target"]


def test_the_templates_commented_keys_are_valid_too() -> None:
    """Taking the comment marks away leaves a valid spec."""
    text = re.sub(r"^  # ([a-z_]+: \S+).*$", r"  \1", TEMPLATE.format(name="a", model="b"), flags=re.MULTILINE)
    spec = parse_model(ServingSpec, text, source="t")
    assert (spec.model.quantization, spec.model.revision, spec.scaling.target) == ("fp8", "<commit>", 12.0)


def test_every_example_is_valid() -> None:
    """The specs that the project ships are read without a mistake."""
    examples = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
    assert examples
    for path in examples:
        parse_model(ServingSpec, path.read_text(), source=path.name)


def test_only_the_model_is_required() -> None:
    """Everything but the model has a default."""
    spec = parse_model(ServingSpec, "model: {id: m}", source="t")
    assert spec == ServingSpec.model_validate({"model": {"id": "m"}})
    assert SCHEMA["required"] == ["model"]


def test_a_spec_does_not_change_once_read() -> None:
    """Values are frozen."""
    spec = parse_model(ServingSpec, "model: {id: m}", source="t")
    with pytest.raises(ValidationError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]


_TIMES = st.integers(1, 10**9).map(lambda microseconds: microseconds / 1e6)
_PERCENTILES = st.lists(_TIMES, min_size=4, max_size=4).map(
    lambda times: Percentiles(**dict(zip(("p50", "p90", "p95", "p99"), sorted(times), strict=True)))
)
_ARRIVALS = st.one_of(
    st.floats(0.001, 1e5).map(lambda rate: Arrivals(poisson=rate)),
    st.builds(GammaArrivals, rate=st.floats(0.001, 1e5), cv=st.floats(0.01, 50)).map(lambda g: Arrivals(gamma=g)),
    st.integers(1, 10**6).map(lambda clients: Arrivals(closed_loop=clients)),
    st.lists(st.builds(Step, rate=st.floats(0, 100), duration=_TIMES), min_size=1, max_size=3).map(
        lambda steps: Arrivals(step=tuple(steps))
    ),
    st.just(Arrivals(trace="a.csv")),
)
_LENGTHS = st.one_of(
    st.integers(1, 10**6).map(lambda tokens: Lengths(fixed=tokens)),
    st.builds(LogNormal, mu=st.floats(-5, 16), sigma=st.floats(0, 4), min=st.integers(1, 9)).map(
        lambda shape: Lengths(lognormal=shape)
    ),
    st.just(Lengths(empirical="lengths.txt")),
)


@given(
    st.builds(SLO, ttft=_PERCENTILES, tpot=st.none() | _PERCENTILES, e2e=st.none() | _PERCENTILES),
    st.builds(WorkloadShape, arrivals=_ARRIVALS, prompt_tokens=_LENGTHS, output_tokens=_LENGTHS),
)
def test_a_spec_written_out_is_read_back(slo: SLO, workload: WorkloadShape) -> None:
    """Any spec, dumped as JSON and read as a user's file (JSON is YAML), is the same spec."""
    spec = ServingSpec.model_validate({"model": {"id": "m"}, "slo": slo, "workload": workload})
    assert parse_model(ServingSpec, spec.model_dump_json(exclude_none=True), source="t") == spec


def test_objectives_and_request_bounds() -> None:
    """Every percentile is an objective; one request must meet the bound of the highest percentile of each metric."""
    slo = SLO(ttft=Percentiles(p50=0.1, p99=0.5), e2e=Percentiles(p90=3.0))
    assert list(slo.objectives()) == [("ttft", 50, 0.1), ("ttft", 99, 0.5), ("e2e", 90, 3.0)]
    assert slo.request_bounds() == {"ttft": 0.5, "e2e": 3.0}


@pytest.mark.parametrize(
    ("arrivals", "kind", "rate"),
    [
        (Arrivals(poisson=3.0), "poisson", 3.0),
        (Arrivals(gamma=GammaArrivals(rate=2.0, cv=4.0)), "gamma", 2.0),
        (Arrivals(closed_loop=5), "closed_loop", None),
        (Arrivals(step=(Step(rate=1.0, duration=30.0), Step(rate=4.0, duration=10.0))), "step", 1.75),
        (Arrivals(trace="x"), "trace", None),
    ],
)
def test_kinds_and_mean_rates(arrivals: Arrivals, kind: str, rate: float | None) -> None:
    """Each shape names its kind, and its mean rate where the shape alone tells it."""
    assert arrivals.kind == kind
    assert arrivals.mean_rate == rate


@pytest.mark.parametrize(
    ("p95", "valid"), [(0.2, True), ("200ms", True), (float("inf"), False), (-1.0, False), ("5", False)]
)
def test_code_may_give_seconds(p95: Any, valid: bool) -> None:
    """Inside the program a duration may be given in seconds or as text; it is finite and longer than 0 all the same."""
    if valid:
        assert Percentiles(p95=p95).p95 == 0.2
    else:
        with pytest.raises(ValidationError):
            Percentiles(p95=p95)


def test_the_schema_describes_every_key() -> None:
    """Each section and key of the published schema has a description, or a type that has one, and refuses others."""
    for name, section in SCHEMA["$defs"].items():
        assert section["description"], name
        assert section["additionalProperties"] is False, name
    assert SCHEMA["additionalProperties"] is False


def test_the_schemas_defaults_are_valid_by_the_schema() -> None:
    """A default stands in the schema as one would write it: durations with their unit, never as bare seconds."""

    def check(properties: dict[str, Any]) -> int:
        durations = 0
        for key, field in properties.items():
            pattern = field.get("pattern", "")
            if field.get("type") == "string" and "default" in field and field["default"] is not None:
                assert isinstance(field["default"], str), key
                assert re.search(pattern, field["default"]), key
                durations += "ms" in pattern
        return durations

    found = sum(check(section["properties"]) for section in (SCHEMA, *SCHEMA["$defs"].values()))
    assert found >= 7


def test_the_schemas_choices_need_exactly_one() -> None:
    """Arrivals and lengths are oneOf their kinds, so that an editor sees what the reader refuses."""
    for name in ("Arrivals", "Lengths"):
        choices = [choice["required"] for choice in SCHEMA["$defs"][name]["oneOf"]]
        assert choices == [[key] for key in SCHEMA["$defs"][name]["properties"]]


@given(st.text(alphabet="0123456789.smhd ", max_size=8))
def test_the_schemas_pattern_of_a_duration_is_the_readers(text: str) -> None:
    """What the schema lets pass as a duration is what is read as one."""
    pattern = SCHEMA["$defs"]["LocalSpec"]["properties"]["sync_period"]["pattern"]
    try:
        parse_duration(text)
        read = text == text.strip()
    except ValueError:
        read = False
    assert bool(re.search(pattern, text)) == read


def test_the_schema_is_json() -> None:
    """It can be printed, and read by YAML tools."""
    assert yaml.safe_load(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA
