"""Writing flags into a spec's text: nothing else changes."""

from datetime import date

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flyball.errors import UsageError
from flyball.spec import SLO, TEMPLATE, MeasuredSpec, Percentiles, ServingSpec, parse_model
from flyball.tune.spec_edit import with_tuned_flags

EVIDENCE = "flyball tune 2026-11-25: holds 3.2 requests/s"


def _edit(text: str, **flags: object) -> str:
    return with_tuned_flags(text, flags, evidence=dict.fromkeys(flags, EVIDENCE), record=None, source="s.yaml")  # type: ignore[arg-type]


def test_the_template_gets_a_block() -> None:
    """`engine: {}` becomes a block with the evidence; its comment and all other lines stay."""
    text = TEMPLATE.format(name="chat", model="a/b")
    new = _edit(text, max_num_seqs=64)
    assert parse_model(ServingSpec, new, source="s").engine == {"max_num_seqs": 64}
    lines = new.splitlines()
    assert [line for line in text.splitlines() if line not in lines] == [
        line for line in text.splitlines() if line.startswith("engine:")
    ]
    assert f"  # {EVIDENCE}\n  max_num_seqs: 64\n" in new
    assert "# vLLM's own flags" in new


def test_values_change_in_place() -> None:
    """The user's comments on the old values stay where they are; new keys follow."""
    text = "model: {id: a/b}\nengine:\n  # ours\n  max_num_seqs: 8   # as in March\n  block_size: 16\nname: x\n"
    new = _edit(text, max_num_seqs=64, max_num_batched_tokens=2048)
    assert new == (
        f"model: {{id: a/b}}\nengine:\n  # ours\n  # {EVIDENCE}\n  max_num_seqs: 64   # as in March\n"
        f"  block_size: 16\n  # {EVIDENCE}\n  max_num_batched_tokens: 2048\nname: x\n"
    )


def test_the_next_run_replaces_its_own_evidence() -> None:
    """Comments do not pile up."""
    once = _edit("model: {id: a/b}\n", max_num_seqs=64)
    twice = with_tuned_flags(
        once, {"max_num_seqs": 32}, evidence={"max_num_seqs": "flyball tune 2026-12-01: x"}, record=None, source="s"
    )
    assert twice.count("# flyball tune") == 1
    assert "2026-12-01" in twice


def test_a_file_without_the_section_gets_one() -> None:
    """At its end, with or without a last newline."""
    for text in ("model: {id: a/b}", "model: {id: a/b}\n"):
        assert parse_model(ServingSpec, _edit(text, max_num_seqs=4), source="s").engine == {"max_num_seqs": 4}


def test_quantization_goes_to_the_model() -> None:
    """Where the spec keeps it."""
    spec = parse_model(ServingSpec, _edit("model:\n  id: a/b\n", quantization="fp8", max_num_seqs=4), source="s")
    assert (spec.model.quantization, spec.engine) == ("fp8", {"max_num_seqs": 4})


def test_what_cannot_be_edited_is_refused() -> None:
    """A value over several lines is left alone, and what to set by hand is told."""
    text = "model: {id: a/b}\nengine:\n  kv_cache_dtype: |-\n    auto\nlocal: {}\n"
    with pytest.raises(UsageError, match="cannot be edited safely") as failed:
        _edit(text, kv_cache_dtype="fp8")
    assert failed.value.fix == "set by hand: kv_cache_dtype: fp8"


RECORD = MeasuredSpec(
    requests_per_s=3.24,
    error=0.08,
    accelerator="H100",
    vllm="0.33.0",
    model="a/b",
    slo=SLO(ttft=Percentiles(p95=0.2)),
    prompt_tokens=483.0,
    output_tokens=145.0,
    flags={"max_num_seqs": 64, "kv_cache_dtype": "auto"},
    date=date(2026, 11, 25),
    run="tune-20261125-101500",
)


@pytest.mark.parametrize(
    "tail", ["", "name: x", "measured: MEASURED\nname: x  # mine\n", "name: x\nmeasured: MEASURED"]
)
def test_the_record_is_written_and_replaced(tail: str) -> None:
    """At the end, or in place of the one that is there, block or flow; what stands around it stays."""
    older = RECORD.model_copy(update={"requests_per_s": 1.0, "run": "older"})
    for flow in (True, False):
        section = yaml.safe_dump(older.model_dump(mode="json", exclude_none=True), default_flow_style=flow, width=1000)
        inline = section.strip() if flow else "\n  " + section.strip().replace("\n", "\n  ")
        text = "# head\nmodel: {id: a/b}\n" + tail.replace("MEASURED", inline)
        new = with_tuned_flags(
            text, {"max_num_seqs": 64}, evidence={"max_num_seqs": EVIDENCE}, record=RECORD, source="s"
        )
        spec = parse_model(ServingSpec, new, source="s")
        assert (spec.measured, spec.engine) == (RECORD, {"max_num_seqs": 64})
        assert new.startswith("# head\nmodel: {id: a/b}\n")
        assert "older" not in new
        assert ("# mine" in text) == ("# mine" in new)
        again = with_tuned_flags(
            new, {"max_num_seqs": 64}, evidence={"max_num_seqs": EVIDENCE}, record=RECORD, source="s"
        )
        assert again == new


_NAMES = st.sampled_from(["max_num_seqs", "max_num_batched_tokens", "block_size", "kv_cache_dtype", "seed"])
_VALUES = st.one_of(st.integers(1, 9999), st.booleans(), st.sampled_from(["auto", "fp8", "a: b", "# x", "yes"]))


@given(
    st.dictionaries(_NAMES, _VALUES, max_size=4),
    st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_any_section_is_edited_and_the_rest_untouched(
    before: dict[str, object], flags: dict[str, object], flow: bool, last: bool
) -> None:
    """Block or flow, first or last in the file: the flags are in, the other keys and lines are as before."""
    section = yaml.safe_dump({"engine": before}, default_flow_style=flow, width=1000)
    if flow:
        section = section.strip()[1:-1] + "  # mine\n"
    other = "# head\nmodel: {id: a/b}  # the model\nname: svc\n"
    text = other + section if last else section + other
    new = _edit(text, **flags)
    spec = parse_model(ServingSpec, new, source="s")
    assert spec.engine == {**before, **flags}
    assert other in new
