"""A walk along the chain for people: the links with their marks, then each finding with what to do."""

from dataclasses import asdict
from typing import Any, TextIO

from flyball.cluster.doctor import LinkResult, Symptom, Walk

_WIDEST = 110
"""Characters of a link's line; the finding below it says the whole."""


def walk_document(found: Walk, *, context: str, server: str) -> dict[str, Any]:
    """For `-o json`: the links in order, each with its findings."""
    first = found.first_broken
    return {
        "context": context,
        "server": server,
        "sound": found.is_sound,
        "complete": found.is_complete,
        "first_broken": None if first is None else first.id,
        "links": [asdict(link) for link in found.links],
    }


def print_walk(found: Walk, out: TextIO) -> None:
    marks, names = (
        max(map(len, column)) for column in zip(*((each.state, each.id) for each in found.links), strict=True)
    )
    for link in found.links:
        line = f"  {link.state:<{marks}}  {link.id:<{names}}  {_summary(link)}".rstrip()
        print(line if len(line) <= _WIDEST else f"{line[: _WIDEST - 3]}...", file=out)
    print(f"\n{_verdict(found)}", file=out)
    for link in found.links:
        if link.symptoms:
            print(f"\n{link.id}: {link.asks}", file=out)
        for symptom in link.symptoms:
            _print_symptom(symptom, out)


def _summary(link: LinkResult) -> str:
    errors = [each for each in link.symptoms if each.severity == "error"]
    first = next(iter(errors if link.answer else [*errors, *link.symptoms]), None)
    return link.answer if first is None else f"{first.place}: {first.answered}"


def _verdict(found: Walk) -> str:
    first = found.first_broken
    if first is not None:
        return f"first broken link: {first.id}"
    unknown = [link.id for link in found.links if link.state == "not reached"]
    if unknown:
        return f"nothing is broken as far as could be seen; not reached: {', '.join(unknown)}"
    warnings = sum(len(link.symptoms) for link in found.links)
    return "sound" if not warnings else f"sound, with {warnings} warning{'' if warnings == 1 else 's'}"


def _print_symptom(symptom: Symptom, out: TextIO) -> None:
    print(f"  {symptom.severity}  {symptom.place}", file=out)
    print(f"    asked     {symptom.asked}", file=out)
    print(f"    answered  {symptom.answered}", file=out)
    print(f"    do        {symptom.fix}", file=out)
