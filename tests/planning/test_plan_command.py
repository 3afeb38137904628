"""`flyball plan` on the command line."""

import json
from pathlib import Path

import pytest
import yaml

from flyball.cli.plan import plan
from flyball.errors import OutsideError, UsageError

SPEC = """
name: chat
model: {id: meta-llama/Llama-3.1-8B-Instruct}
workload: {arrivals: {poisson: 12}, peak: 20}
hardware: {cloud: aws, accelerators: [L40S, H100], spot: {allowed: true}}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path / "home"))
    path = tmp_path / "chat.yaml"
    path.write_text(SPEC)
    return path


def test_json_holds_the_plan_with_a_reason_for_each_value(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prices with source and date, intervals around what is predicted, and everything that render needs."""
    assert plan(spec, output="json", api_price="0.20,0.60") == 0
    document = json.loads(capsys.readouterr().out)
    found = document["plan"]

    assert found["accelerator"] in ("L40S", "H100")
    assert {"tensor_parallel_size", "max_model_len", "max_num_seqs", "max_num_batched_tokens"} <= set(found["engine"])
    assert all(each["reason"] for each in found["derived"].values())
    assert all(price["source"] and price["as_of"] for price in found["prices"])
    ttft = found["peak"]["latency"]["ttft_s"]["p95"]
    assert ttft["low"] < ttft["value"] < ttft["high"]
    assert found["typical"]["usd_per_month"] == pytest.approx(730 * found["typical"]["usd_per_hour"])
    assert found["break_even"]["api_usd_per_hour_typical"] > 0
    assert found["node_labels"]["node.kubernetes.io/instance-type"] == found["machine"]
    assert found["capacity_type"] == "spot"
    assert found["spot_assumptions"]["reclaims_per_machine_hour"] > 0


def test_the_rate_of_reclaims_is_the_specs(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`hardware.spot.reclaims_per_machine_hour` prices reclaims; at 0 they cost nothing."""
    for rate, shown in (("0", "$0/h if each machine is taken 0 times"), ("2", "taken 2 times an hour (given)")):
        allowed = f"{{allowed: true, reclaims_per_machine_hour: {rate}}}"
        spec.write_text(SPEC.replace("{allowed: true}", allowed).replace("[L40S, H100]", "[L40S]"))
        assert plan(spec) == 0
        assert shown in capsys.readouterr().out


def test_yaml_says_the_same_as_json(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document in two spellings."""
    spec.write_text(SPEC.replace("[L40S, H100]", "[H100]"))
    assert plan(spec, output="json") == 0
    first = json.loads(capsys.readouterr().out)
    assert plan(spec, output="yaml") == 0

    assert yaml.safe_load(capsys.readouterr().out) == first


def test_the_table_shows_choice_alternatives_and_rejections(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In that order; --why adds the derivations."""
    assert plan(spec, why=True) == 0
    out = capsys.readouterr().out

    places = [out.index(word) for word in ("$/hour", "scaling.min", "\nwhy\n", "\nalternatives\n", "\nrejected\n")]
    assert places == sorted(places)
    assert "engine.max_num_seqs = " in out
    assert "an order of magnitude" in out


def test_what_does_not_fit_is_an_answer(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, with the numbers and the ways out."""
    spec.write_text("model: {id: deepseek-ai/DeepSeek-V3}\nhardware: {cloud: gcp, accelerators: [L4]}\n")

    assert plan(spec) == 1
    out = capsys.readouterr().out
    assert "no plan: the model fits nowhere" in out
    assert "GB usable" in out


def test_the_plot_is_one_page_without_addresses(spec: Path, tmp_path: Path) -> None:
    """It shows every priced candidate and the objective, and loads nothing."""
    page = tmp_path / "plan.html"

    assert plan(spec, plot=page) == 0
    text = page.read_text()
    assert "objective 200 ms" in text
    assert "aws p5.4xlarge" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    candidates = text.count("<tr><th>")
    assert text.count('class="point-name') == candidates - 1 > 1


def test_machines_without_a_price_are_not_drawn(spec: Path, tmp_path: Path) -> None:
    """The page says so instead of showing an empty chart."""
    page, mine = tmp_path / "plan.html", tmp_path / "mine.yaml"
    mine.write_text("machines: [{name: rack, accelerator: H100, count: 2}]")
    spec.write_text(SPEC.replace("aws", "none").replace("[L40S, H100]", "[]"))

    assert plan(spec, catalog=mine, plot=page) == 0
    assert "No price of these machines is known" in page.read_text()


def test_own_machines_and_prices_come_from_the_catalog_file(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`cloud: none` plans for them alone."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("machines: [{name: rack, accelerator: H100, count: 2}]")
    spec.write_text(SPEC.replace("aws", "none").replace("[L40S, H100]", "[]"))

    assert plan(spec, catalog=mine, output="json") == 0
    found = json.loads(capsys.readouterr().out)["plan"]
    assert (found["machine"], found["typical"]["usd_per_hour"]) == ("rack", 0)


@pytest.mark.parametrize("text", ["1", "a,b", "1,2,3", "-1,2", "1,inf"])
def test_an_api_price_that_is_none_is_refused(spec: Path, text: str) -> None:
    """Two numbers of dollars, nothing else."""
    with pytest.raises(UsageError, match="--api-price"):
        plan(spec, api_price=text)


def test_mistakes_of_the_spec_are_usage_errors(spec: Path) -> None:
    """Flags that the version lacks, chips that nobody knows, splits that are not modelled."""
    for line in (
        "engine: {max_num_sequences: 4}",
        "engine: {pipeline_parallel_size: 2}",
        "engine: {tensor_parallel_size: two}",
        "hardware: {accelerators: [H300]}",
    ):
        spec.write_text(f"model: {{id: meta-llama/Llama-3.1-8B-Instruct}}\n{line}\n")
        with pytest.raises(UsageError):
            plan(spec)


def test_a_plot_that_cannot_be_written_is_the_outside(spec: Path, tmp_path: Path) -> None:
    """Exit code 3, not a traceback."""
    spec.write_text(SPEC.replace("[L40S, H100]", "[H100]"))
    with pytest.raises(OutsideError, match="cannot write"):
        plan(spec, plot=tmp_path / "no" / "plan.html")
