"""`flyball catalog` through the command line."""

import json
from pathlib import Path

import pytest

from flyball.cli.main import run


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["catalog", *arguments]) == 0
    return capsys.readouterr().out


def test_machines_show_prices_with_source_and_date(capsys: pytest.CaptureFixture[str]) -> None:
    """The table has a line for each machine and a numbered source with its date for each price."""
    out = printed(capsys, "--cloud", "aws", "--accelerator", "h100")
    assert "p5.48xlarge" in out
    assert "55.040 [" in out
    assert "g6.xlarge" not in out
    assert "data-receipts 109-gpu-pricing" in out
    assert "2026-11-09" in out


def test_accelerators_show_rates_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of chips has visible memory and dense rates; a cloud narrows it to what it rents."""
    out = printed(capsys, "--kind", "accelerators", "--cloud", "lambda")
    assert "B200" in out
    assert "178.3" in out
    assert "RTX-4090" not in out


def test_json_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has sources and dates of machines, prices, chips and releases."""
    machines = json.loads(printed(capsys, "-o", "json"))
    g6 = next(machine for machine in machines if machine["name"] == "g6.xlarge")
    assert g6["offerings"][0]["as_of"] == "2026-07-20"
    assert g6["cloud"]["spot_notice_s"] == 120
    chips = json.loads(printed(capsys, "--kind", "accelerators", "-o", "json"))
    assert all(chip["source"] and chip["as_of"] for chip in chips)
    releases = json.loads(printed(capsys, "--kind", "releases", "-o", "json"))
    assert "max_num_active_seqs" in next(row for row in releases if row["version"] == "0.31.0")["flags_added"]


def test_releases_table_names_advisories(capsys: pytest.CaptureFixture[str]) -> None:
    """The newest release has no known advisory, the one before it has."""
    lines = printed(capsys, "--kind", "releases").splitlines()
    assert next(line for line in lines if line.startswith("0.33.0")).split()[-2:] == ["none", "known"]
    assert "GHSA-5r3c-5x4v-8gjh" in next(line for line in lines if line.startswith("0.32.0"))


def test_own_catalog_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A user's machines are listed with the others; mistakes in the file are exit code 2."""
    file = tmp_path / "own.yaml"
    file.write_text("machines:\n- {name: rack-1, accelerator: L40S, count: 2, on_demand: {usd_per_hour: 1.5}}\n")
    assert "rack-1" in printed(capsys, "--catalog", str(file), "--accelerator", "L40S")
    file.write_text("machines:\n- {name: rack-1, accelerator: L40S, cuont: 2}\n")
    assert run(["catalog", "--catalog", str(file)]) == 2
    assert "machines[0].cuont" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--cloud", "moon"], ["--accelerator", "Z80"], ["--catalog", "nowhere.yaml"]])
def test_unknown_names_are_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A cloud, chip or file that does not exist is exit code 2 with what is known."""
    assert run(["catalog", *arguments]) == 2
    assert arguments[1] in capsys.readouterr().err


def test_a_filter_without_a_match_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error; the data is an empty list."""
    assert run(["catalog", "--cloud", "azure", "--accelerator", "T4", "-o", "json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == []
    assert "nothing in the catalog matches" in said.err
