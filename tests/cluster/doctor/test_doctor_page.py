"""docs/doctor.md against the code: its chain, its kinds, and its session, which is run."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fake_apiserver import FakeApiServer
from fake_prometheus import FakePrometheus
from flyball.cli.main import run
from flyball.cluster.doctor.chain import CHAIN
from flyball.cluster.doctor.resource import RESOURCES
from flyball.cluster.doctor.symptom import Link

PAGE = Path(__file__).parents[3] / "docs" / "doctor.md"
SERVER = "https://203.0.113.7:6443"
"""What the page shows instead of the port of this machine."""


def row(link: Link) -> str:
    needs = ", ".join(f"`{need}`" for need in link.needs)
    return f"| `{link.id}` | {link.asks} | {needs} | {', '.join(each.label for each in link.reads)} |".replace(
        "|  |", "| |"
    )


def rows_under(head: str) -> list[str]:
    """The rows of the page's table with that head."""
    lines = PAGE.read_text().splitlines()
    start = lines.index(head) + 2
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return lines[start:end]


def test_page_shows_the_chain() -> None:
    """The table of links has every link in order, with its question and with what it needs."""
    rows = rows_under("| link | question | needs | lists |")

    assert [re.sub(r" +", " ", each) for each in rows] == [re.sub(r" +", " ", row(link)) for link in CHAIN]


def test_page_names_what_is_listed() -> None:
    """The table of kinds has everything that is read, and nothing else."""
    rows = rows_under("| kind | where |")

    assert rows == [f"| {each.name} | {each.scope} |" for each in RESOURCES]


def test_session_is_what_is_printed(
    arguments: list[str], cluster: FakeApiServer, prometheus: FakePrometheus, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's session, run against the cluster that it tells of. UPDATE_GOLDEN=1 writes it anew."""
    cluster.store.edit("PodMonitor", "chat-engine", "llm", manager="kubectl", metadata={"labels": {"release": "none"}})
    prometheus.targets = ()
    prometheus.answers = {query: replace(answer, samples=()) for query, answer in prometheus.answers.items()}

    assert run(arguments) == 1

    printed = capsys.readouterr()
    said = (printed.err + printed.out).replace(cluster.url, SERVER)
    text = PAGE.read_text()
    before, command, rest = text.partition("$ flyball doctor --manifests rendered.yaml\n")
    shown, fence, after = rest.partition("```")
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(before + command + said + fence + after)
    assert shown == said
