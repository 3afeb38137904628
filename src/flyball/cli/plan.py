"""`flyball plan`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import yaml
from cyclopts import Parameter

from flyball.catalog import DEFAULT_RELEASE
from flyball.cli.plan_document import plan_document
from flyball.cli.plan_table import print_plan
from flyball.cli.planning import planned
from flyball.cli.terminal_text import terminal_width
from flyball.errors import OutsideError, UsageError
from flyball.planning import TokenPrice


def plan(
    spec: Path,
    *,
    catalog: Path | None = None,
    vllm: Annotated[str, Parameter(name="--vllm")] = DEFAULT_RELEASE,
    api_price: str | None = None,
    why: Annotated[bool, Parameter(negative="")] = False,
    plot: Path | None = None,
    output: Annotated[Literal["table", "json", "yaml"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Choose accelerators, engine flags and replicas for a spec: the cheapest that meets its objective.

    Exit code 1 if nothing does; the numbers that forbid it are shown.

    Parameters
    ----------
    spec
        The spec file.
    catalog
        A YAML file with your own `accelerators`, `clouds` and `machines`.
    vllm
        The version to plan for.
    api_price
        Dollars per million input and output tokens of an API to compare with: --api-price 0.20,0.60.
    why
        Say of each value why it was chosen.
    plot
        Write cost against time to first token of every candidate to this HTML file.
    output
        A table, JSON or YAML.

    """
    made = planned(spec, catalog=catalog, vllm=vllm, api=None if api_price is None else parse_price(api_price))
    serving, outcome = made.spec, made.outcome
    if plot is not None:
        from flyball.cli.plan_plot import plan_page

        write(plot, plan_page(serving, outcome))
    if output == "table":
        print_plan(serving, outcome, sys.stdout, why=why, width=terminal_width(sys.stdout))
    elif output == "json":
        print(json.dumps(plan_document(outcome), indent=2))
    else:
        print(yaml.safe_dump(plan_document(outcome), sort_keys=False, width=120), end="")
    return 1 if outcome.plan is None else 0


def parse_price(text: str) -> TokenPrice:
    """`0.20,0.60` as dollars per million input and output tokens."""
    try:
        price = TokenPrice(**dict(zip(("input_usd", "output_usd"), map(float, text.split(",")), strict=True)))
    except ValueError:
        price = TokenPrice(input_usd=-1.0, output_usd=-1.0)
    if not (0 <= price.input_usd < float("inf") and 0 <= price.output_usd < float("inf")):
        what = f"--api-price {text}: not two prices"
        raise UsageError(what, fix="dollars per million input and output tokens, for example --api-price 0.20,0.60")
    return price


def write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"cannot write {path}: {error.strerror}", fix="choose another file for --plot") from error
