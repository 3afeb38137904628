"""Finds the verb, runs it, and turns what goes wrong into one line, a way out and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from flyball import __version__
from flyball.cli.exit_code import INTERRUPTED
from flyball.errors import FlyballError

app = App(
    name="flyball",
    version=__version__,
    help="From one vLLM server to a fleet that holds its latency objective and adjusts itself to demand.",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command("flyball.cli.init:init", name="init")
app.command("flyball.cli.schema:schema", name="schema")
app.command("flyball.cli.plan:plan", name="plan")
app.command("flyball.cli.catalog:catalog", name="catalog")
app.command("flyball.cli.memory:memory", name="memory")
app.command("flyball.cli.calibrate:calibrate", name="calibrate")
app.command("flyball.cli.replay:replay", name="replay")
app.command("flyball.cli.render:render", name="render")
app.command("flyball.cli.lint:lint", name="lint")
app.command("flyball.cli.diff:diff", name="diff")
app.command("flyball.cli.apply:apply", name="apply")
app.command("flyball.cli.delete:delete", name="delete")
app.command("flyball.cli.doctor:doctor", name="doctor")
app.command("flyball.cli.engine:app", name="engine")
app.command("flyball.cli.up:up", name="up")
app.command("flyball.cli.status:status", name="status")
app.command("flyball.cli.down:down", name="down")
app.command("flyball.cli.bench:bench", name="bench")
app.command("flyball.cli.tune:tune", name="tune")
app.command("flyball.cli.prove:prove", name="prove")


def run(arguments: Sequence[str]) -> int:
    """The exit code of `flyball ARGUMENTS`."""
    debug = "--debug" in arguments
    try:
        result = app([token for token in arguments if token != "--debug"], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _fail(str(error), "`flyball --help` and `flyball VERB --help` list what there is", 2, debug=debug)
    except FlyballError as error:
        return _fail(error.what, error.fix, error.exit_code, debug=debug)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`flyball ... | head`); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        return _fail(what, "this is a defect of flyball; --debug shows where", 3, debug=debug)
    return result if isinstance(result, int) else 0


def _fail(what: str, fix: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"flyball: {what}", file=sys.stderr)
    if fix:
        print(f"  {fix}", file=sys.stderr)
    return code


def main() -> None:
    sys.exit(run(sys.argv[1:]))
