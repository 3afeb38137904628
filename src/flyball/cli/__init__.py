"""The command line: one module a verb, loaded when its verb is called.

Data goes to standard output, talk to standard error. Exit codes: 0 yes; 1 the answer is no; 2 wrong usage or spec;
3 the outside failed; 130 interrupted.
"""

import gc

gc.set_threshold(100_000)  # imports make many objects that stay: looking for garbage every 700 takes a tenth of a start

from flyball.cli.main import main  # noqa: E402  # after the line above, which is for what it imports

__all__ = ["main"]
