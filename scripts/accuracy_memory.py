"""Writes the memory part of docs/accuracy.md: every recorded start of vLLM, predicted against printed.

python scripts/accuracy_memory.py           seconds
"""

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from flyball.units import GIB  # noqa: E402
from recorded_boots import Boot, boots, predicted  # noqa: E402 - a module of the tests, which keep the starts

PAGE = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- memory -->", "<!-- end of memory -->"


def main() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + "\n\n" + "\n".join(lines()) + "\n\n" + END + rest.partition(END)[2])


def lines() -> Iterator[str]:
    """The section, as Markdown."""
    with_tokens = [boot for boot in boots() if boot.get("tokens")]
    errors = [abs(_error(boot)) for boot in with_tokens]
    yield f"{len(with_tokens)} starts printed the tokens of their KV cache: the largest error is {max(errors):.2%}, the"
    yield f"median {sorted(errors)[len(errors) // 2]:.2%}. The others printed GiB alone. Sources of the starts:"
    yield "`tests/perf/data/README.md`. To make this section again: `python scripts/accuracy_memory.py`."
    yield ""
    yield "| accelerator | vLLM | model | flags | printed | predicted | error |"
    yield "| --- | --- | --- | --- | ---: | ---: | ---: |"
    for boot in boots():
        flags = " ".join(f"{name}={value}" for name, value in boot["engine"].items())
        yield (
            f"| {boot['accelerator']} | {boot['version']} | {boot['model'].rpartition('/')[2]} | {flags} "
            f"| {_printed(boot)} | {_predicted(boot)} | {_error(boot):+.2%} |"
        )


def _printed(boot: Boot) -> str:
    if boot.get("tokens"):
        return f"{boot['tokens']:,} tokens"
    return f"{boot['available_gib']:.2f} GiB" if "available_gib" in boot else f"weights {boot['weights_gib']:.2f} GiB"


def _predicted(boot: Boot) -> str:
    budget = predicted(boot)
    if boot.get("tokens"):
        return f"{budget.kv_cache.tokens:,} tokens"
    return f"{(budget.kv_cache.available_bytes if 'available_gib' in boot else budget.weights_bytes) / GIB:.2f} GiB"


def _error(boot: Boot) -> float:
    budget = predicted(boot)
    if boot.get("tokens"):
        return float(budget.kv_cache.tokens / boot["tokens"] - 1)
    if "available_gib" in boot:
        return float(budget.kv_cache.available_bytes / GIB / boot["available_gib"] - 1)
    return float(budget.weights_bytes / GIB / boot["weights_gib"] - 1)


if __name__ == "__main__":
    main()
