"""The chain over clusters that are sound, and over clusters with one thing wrong."""

import pytest

import broken_services  # registers its breakages
from broken_clusters import BREAKAGES, Breakage
from flyball.cluster.doctor.chain import CHAIN
from flyball.cluster.doctor.walk import Walk, walk
from sound_cluster import Bench


def walked(bench: Bench) -> Walk:
    return walk(bench.facts(), bench.expected())


def test_sound_cluster_has_no_symptom() -> None:
    """Where nothing is wrong every link is ok, with an answer and without a symptom."""
    found = walked(Bench())

    assert [(link.id, link.symptoms) for link in found.links if link.state != "ok" or link.symptoms] == []
    assert all(link.answer for link in found.links)
    assert found.is_sound
    assert found.first_broken is None


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda each: each.name)
def test_breakage_is_named_at_its_link(breakage: Breakage) -> None:
    """The link that the thing belongs to tells of it; it is the first broken one; each symptom says what to do."""
    bench = Bench()
    breakage.change(bench)

    found = walked(bench)

    link = next(each for each in found.links if each.id == breakage.link)
    assert link.state == breakage.state
    assert breakage.says in "\n".join(f"{each.asked}: {each.answered}" for each in link.symptoms)
    assert all(each.place and each.asked and each.answered and each.fix for each in link.symptoms)
    assert found.first_broken == (link if breakage.state == "broken" else None)


def test_breakages_are_many_and_cover_the_chain() -> None:
    """There are ways to break every link."""
    assert len(BREAKAGES) >= 80
    assert broken_services.__name__ in {each.change.__module__ for each in BREAKAGES}
    assert {each.link for each in BREAKAGES} == {link.id for link in CHAIN}


def test_links_need_only_links_before_them() -> None:
    """The chain is in an order in which everything that a link needs is known when it is asked."""
    before: set[str] = set()
    for link in CHAIN:
        assert set(link.needs) <= before
        before.add(link.id)
    assert len(before) == len(CHAIN)
