"""Every way a user's file can be wrong, and the line that says so."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from flyball.errors import UsageError
from flyball.spec import ServingSpec, WorkloadShape, parse_model

WRITE_A_SPEC = "`flyball init` writes a commented spec"
LIST_KEYS = "`flyball schema` lists every key"


def _error(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse_model(ServingSpec, text, source="f.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("", "f.yaml is empty", WRITE_A_SPEC),
        ("# nothing yet\n", "f.yaml is empty", WRITE_A_SPEC),
        ("- model", "f.yaml does not hold a mapping of keys", WRITE_A_SPEC),
        ("hello", "f.yaml does not hold a mapping of keys", WRITE_A_SPEC),
        (
            "model:\n\tid: x",
            "f.yaml: line 2, column 1 is not valid YAML: found character '\\t' that cannot start any token",
            "mend the YAML there",
        ),
        (
            "model: {id: x",
            "f.yaml: line 1, column 14 is not valid YAML: expected ',' or '}', but got '<stream end>'",
            "mend the YAML there",
        ),
        (
            "model: {id: x}\nmodel: {id: y}",
            "f.yaml: line 2, column 1 is not valid YAML: the key 'model' is given twice",
            "mend the YAML there",
        ),
        (
            "model: {id: x, id: y}",
            "f.yaml: line 1, column 16 is not valid YAML: the key 'id' is given twice",
            "mend the YAML there",
        ),
        ("? [a, b]\n: 1", "f.yaml: line 1, column 3 is not valid YAML: a key must be a word", "mend the YAML there"),
        (
            "a: 1\n---\nb: 2",
            "f.yaml: line 2, column 1 is not valid YAML: but found another document",
            "mend the YAML there",
        ),
        (
            "a: &a [*a]",
            "f.yaml: line 1, column 4 is not valid YAML: found unconstructable recursive node",
            "mend the YAML there",
        ),
        (
            "a: \x00",
            "f.yaml is not readable as YAML: unacceptable character #x0000: special characters are not allowed in "
            '"<unicode string>", position 3',
            "save it as UTF-8 text",
        ),
        ("[" * 5000, "f.yaml is nested too deeply to be a spec", "is it the right file?"),
    ],
)
def test_files_that_are_no_spec_at_all(text: str, what: str, fix: str) -> None:
    """Broken YAML names line and column; what is no mapping of keys is told how to get one."""
    error = _error(text)
    assert (error.what, error.fix) == (what, fix)
    assert error.exit_code == 2


def test_yaml_cannot_make_objects() -> None:
    """A tag that would construct a Python object is refused like any broken YAML."""
    assert "could not determine a constructor" in _error("model: !!python/object:os.system {id: x}").what


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("zzz: 1", "zzz: unknown key; known keys: name, model, slo, workload, hardware, scaling, engine, kubernetes, "),
        ("modle: {id: x}", "modle: unknown key; did you mean model?"),
        ("scaling: {maxx: 3}", "scaling.maxx: unknown key; did you mean max?"),
        ("slo: {ttft: {p-95: 1s}}", "slo.ttft.p-95: unknown key; did you mean p95?"),
        ("slo: {ttft: {'p 95': 1s}}", "slo.ttft.p 95: unknown key; did you mean p95?"),
        ("slo: {itl: {p95: 1s}}", "slo.itl: unknown key; known keys: ttft, tpot, e2e"),
        ("workload: {arrivals: {poison: 1}}", "workload.arrivals.poison: unknown key; did you mean poisson?"),
        (
            "workload: {prompt_tokens: {uniform: 3}}",
            "workload.prompt_tokens.uniform: unknown key; known keys: fixed, lognormal, empirical",
        ),
        ("1: 2", "[1]: a key must be a word (got 1)"),
    ],
)
def test_unknown_keys(text: str, line: str) -> None:
    """The path of the key, and the one that was meant, or all that there are."""
    error = _error(f"model: {{id: m}}\n{text}")
    assert error.what.startswith(f"f.yaml: {line}")
    assert error.fix == LIST_KEYS


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("slo: {ttft: {p95: 200}}", "slo.ttft.p95: 200 has no unit; write a duration like 200ms, 90s or 2m"),
        ("slo: {ttft: {p95: 0.2}}", "slo.ttft.p95: 0.2 has no unit; write a duration like 200ms, 90s or 2m"),
        ("slo: {ttft: {p95: 1:30}}", "slo.ttft.p95: 90 has no unit; write a duration like 200ms, 90s or 2m"),
        ("slo: {ttft: {p95: soon}}", "slo.ttft.p95: 'soon' is not a duration; write it like 200ms, 90s, 1m30s or 2h"),
        ("slo: {ttft: {p95: -1s}}", "slo.ttft.p95: '-1s' is not a duration; write it like 200ms, 90s, 1m30s or 2h"),
        ("slo: {ttft: {p95: 0s}}", "slo.ttft.p95: must be longer than 0 (got '0s')"),
        ("slo: {ttft: {p95: [1s]}}", "slo.ttft.p95: ['1s'] has no unit; write a duration like 200ms, 90s or 2m"),
        ("slo: {}", "slo: give at least one of ttft, tpot, e2e, for example ttft: {p95: 200ms}"),
        ("slo: {ttft: {}}", "slo.ttft: give at least one percentile, for example {p95: 200ms}"),
        ("slo: {ttft: {p50: 2s, p95: 1s}}", "slo.ttft: a higher percentile cannot have a lower bound"),
        ("slo:", "slo: must be a mapping of keys; known keys: ttft, tpot, e2e"),
        ("workload: {arrivals: {}}", "workload.arrivals: give exactly one of poisson, gamma, closed_loop, step, trace"),
        (
            "workload: {arrivals: {poisson: 1, closed_loop: 3}}",
            "workload.arrivals: give exactly one of poisson, gamma, closed_loop, step, trace",
        ),
        (
            "workload: {arrivals: {poisson: null}}",
            "workload.arrivals: give exactly one of poisson, gamma, closed_loop, step, trace",
        ),
        (
            "workload: {arrivals: 24}",
            "workload.arrivals: must be a mapping of keys; known keys: poisson, gamma, closed_loop, step, trace",
        ),
        ("workload: {arrivals: {poisson: 0}}", "workload.arrivals.poisson: must be greater than 0 (got 0)"),
        ("workload: {arrivals: {poisson: .inf}}", "workload.arrivals.poisson: must be a finite number (got inf)"),
        (
            "workload: {arrivals: {poisson: fast}}",
            "workload.arrivals.poisson: must be a valid number, unable to parse string as a number (got 'fast')",
        ),
        ("workload: {arrivals: {gamma: {rate: 1}}}", "workload.arrivals.gamma.cv: required, and missing"),
        (
            "workload: {arrivals: {gamma: {rate: 1, cv: 0}}}",
            "workload.arrivals.gamma.cv: must be greater than 0 (got 0)",
        ),
        (
            "workload: {arrivals: {closed_loop: 1.5}}",
            "workload.arrivals.closed_loop: must be a valid integer, got a number with a fractional part (got 1.5)",
        ),
        ("workload: {arrivals: {step: []}}", "workload.arrivals.step: must not be empty"),
        ("workload: {arrivals: {step: {rate: 1, duration: 5s}}}", "workload.arrivals.step: must be a list"),
        (
            "workload: {arrivals: {step: [{rate: 1, duration: 5}]}}",
            "workload.arrivals.step[0].duration: 5 has no unit; write a duration like 200ms, 90s or 2m",
        ),
        (
            "workload: {arrivals: {step: [{rate: -1, duration: 5s}]}}",
            "workload.arrivals.step[0].rate: must be greater than or equal to 0 (got -1)",
        ),
        ("workload: {prompt_tokens: {}}", "workload.prompt_tokens: give exactly one of fixed, lognormal, empirical"),
        ("workload: {prompt_tokens: {fixed: 0}}", "workload.prompt_tokens.fixed: must be greater than 0 (got 0)"),
        (
            "workload: {prompt_tokens: {lognormal: {mu: 5}}}",
            "workload.prompt_tokens.lognormal.sigma: required, and missing",
        ),
        (
            "workload: {prompt_tokens: {lognormal: {mu: 500, sigma: 1}}}",
            "workload.prompt_tokens.lognormal.mu: must be less than or equal to 16 (got 500)",
        ),
        (
            "workload: {prompt_tokens: {lognormal: {mu: 5, sigma: 1, min: 9, max: 5}}}",
            "workload.prompt_tokens.lognormal: max 5 is below min 9",
        ),
        ("scaling: {min: 4, max: 3}", "scaling: max 3 is below min 4"),
        (
            "scaling: {min: 0}",
            "scaling: min 0 needs a signal that outlives the last replica, "
            "and vLLM's metrics vanish with it; use min 1",
        ),
        ("scaling: {target: 0}", "scaling.target: must be greater than 0 (got 0)"),
        ("scaling: {signal: cpu}", "scaling.signal: must be 'in_system', 'waiting' or 'kv' (got 'cpu')"),
        (
            "scaling: {behavior: {scale_down: {stabilization_window: 2h}}}",
            "scaling.behavior.scale_down.stabilization_window: must be at most 1h (got '2h')",
        ),
        ("scaling: {behavior: {scale_up: {policies: []}}}", "scaling.behavior.scale_up.policies: must not be empty"),
        (
            "scaling: {behavior: {scale_up: {policies: [{type: pods, value: 1, period: 15s}]}}}",
            "scaling.behavior.scale_up.policies[0].type: must be 'Pods' or 'Percent' (got 'pods')",
        ),
        (
            "scaling: {behavior: {scale_up: {policies: [{type: Pods, value: 1, period: 1h}]}}}",
            "scaling.behavior.scale_up.policies[0].period: must be at most 30m (got '1h')",
        ),
        (
            "scaling: {behavior: {scale_up: {tolerance: -0.1}}}",
            "scaling.behavior.scale_up.tolerance: must be greater than or equal to 0 (got -0.1)",
        ),
        ("hardware: {cloud: ibm}", "hardware.cloud: must be 'aws', 'gcp', 'azure' or 'none' (got 'ibm')"),
        ("hardware: {accelerators: L4}", "hardware.accelerators: must be a list (got 'L4')"),
        (
            "hardware: {spot: {on_demand_floor: -1}}",
            "hardware.spot.on_demand_floor: must be greater than or equal to 0 (got -1)",
        ),
        (
            "name: My Service",
            "name: must be at most 40 lower-case letters, digits and dashes, a letter first (got 'My Service')",
        ),
        ("name: 2020-01-01", "name: must be a valid string"),
        (
            "kubernetes: {namespace: A_b}",
            "kubernetes.namespace: must be at most 63 lower-case letters, digits and dashes (got 'A_b')",
        ),
        ("gateway: {port: 99999}", "gateway.port: must be less than or equal to 65535 (got 99999)"),
        ("gateway: {port: null}", "gateway.port: must be a valid integer (got null)"),
        ("local: {kv_cache: 1Mi}", "local.kv_cache: must be at least 64Mi (got '1Mi')"),
        (
            "local: {kv_cache: 1GB}",
            "local.kv_cache: '1GB' is not a quantity of bytes; write it like 24Gi, 512Mi or 10G",
        ),
        ("local: {kv_cache: -5}", "local.kv_cache: -5 is not a quantity of bytes; write it like 24Gi, 512Mi or 10G"),
        ("engine: [max_num_seqs]", "engine: must be a mapping of keys"),
        (
            "engine: {--max-num-seqs: 4}",
            "engine.--max-num-seqs: spell a flag with underscores: max_num_seqs (got '--max-num-seqs')",
        ),
        (
            "engine: {max_num_seqs: [4]}",
            "engine.max_num_seqs: a flag's value must be a number, a string, true or false",
        ),
        (
            "engine: {max_num_seqs: null}",
            "engine.max_num_seqs: a flag's value must be a number, a string, true or false (got null)",
        ),
    ],
)
def test_impossible_values(text: str, line: str) -> None:
    """One line: the key's path, what it may be, and what was given."""
    error = _error(f"model: {{id: m}}\n{text}")
    assert error.what == f"f.yaml: {line}"
    assert error.fix == LIST_KEYS


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x", "model: required, and missing"),
        ("model:", "model: must be a mapping of keys; known keys: id, revision, quantization, served_name"),
        ("model: llama", "model: must be a mapping of keys; known keys: id, revision, quantization, served_name"),
        ("model: {}", "model.id: required, and missing"),
        ("model: {id: ''}", "model.id: must not be empty (got '')"),
        ("model: {id: 5}", "model.id: must be a valid string (got 5)"),
        ("model: {id: x, 5: 1}", "model[5]: a key must be a word (got 5)"),
    ],
)
def test_the_one_thing_that_is_required(text: str, line: str) -> None:
    """Without a model's id there is no spec."""
    assert _error(text).what == f"f.yaml: {line}"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("scaling: {min: yes}", "scaling.min"),
        ("workload: {arrivals: {poisson: true}}", "workload.arrivals.poisson"),
        ("hardware: {cloud: no}", "hardware.cloud"),
        ("local: {kv_cache: on}", "local.kv_cache"),
        ("name: off", "name"),
    ],
)
def test_yamls_truth_values_are_not_taken_for_numbers_or_words(text: str, place: str) -> None:
    """An unquoted yes, no, on or off is a truth value to YAML, and would silently become 1, 0 or nothing."""
    error = _error(f"model: {{id: m}}\n{text}")
    assert error.what.startswith(f"f.yaml: {place}: a truth value has no place here")


def test_truth_values_stay_where_they_belong() -> None:
    """Switches and engine flags may be true or false."""
    text = "model: {id: m}\nhardware: {spot: {allowed: yes}}\nengine: {enforce_eager: true}"
    spec = parse_model(ServingSpec, text, source="f.yaml")
    assert spec.hardware.spot.allowed is True
    assert spec.engine == {"enforce_eager": True}


def test_all_mistakes_are_told_at_once() -> None:
    """Several mistakes are counted and listed, one a line."""
    error = _error("model: {id: m}\nscaling: {maxx: 3}\nslo: {ttft: {p95: 1}}\nfoo: 1")
    assert error.what == "f.yaml: 3 mistakes"
    lines = error.fix.split("\n  ")
    assert sorted(line.split(":")[0] for line in lines) == ["foo", "scaling.maxx", "slo.ttft.p95"]


def test_a_merged_mapping_may_be_overridden() -> None:
    """YAML's merge key gives defaults; a key of one's own beside it is not "given twice"."""
    text = "arrivals: {gamma: {rate: 1, cv: 2}}\nprompt_tokens: {lognormal: &a {mu: 5, sigma: 1}}\n"
    text += "output_tokens: {lognormal: {<<: *a, mu: 3}}\n"
    shape = parse_model(WorkloadShape, text, source="w.yaml")
    assert shape.output_tokens.lognormal is not None
    assert (shape.output_tokens.lognormal.mu, shape.output_tokens.lognormal.sigma) == (3.0, 1.0)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=8,
)
_KEYS = st.sampled_from([*ServingSpec.model_fields, "poisson", "lognormal", "p95"])


def _messages(text: str) -> list[str]:
    """The parts of the usage error that `text` leads to; none if it is a spec."""
    try:
        parse_model(ServingSpec, text, source="f.yaml")
    except UsageError as error:
        return [error.what, *error.fix.split("\n  ")]
    return []


@given(st.dictionaries(_KEYS, st.dictionaries(_KEYS, _JSON, max_size=3) | _JSON, max_size=4))
@example({"model": {"\n": None}})
@example({"model": {"": None}})
def test_any_mapping_is_a_spec_or_an_error_of_single_lines(document: dict[str, object]) -> None:
    """Whatever a file holds, reading it gives a spec or a usage error made of single lines."""
    for line in _messages(yaml.safe_dump(document, allow_unicode=True)):
        assert line
        assert "\n" not in line


@given(st.text(max_size=60))
def test_any_text_is_a_spec_or_a_usage_error(text: str) -> None:
    """No text makes the reader fail in another way."""
    assert all("\n" not in line for line in _messages(text))
