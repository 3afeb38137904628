"""The command line: one module a verb, loaded when its verb is called.

Data goes to standard output, talk to standard error. Exit codes: 0 yes; 1 the answer is no; 2 wrong usage or spec;
3 the outside failed; 130 interrupted.
"""

from flyball.cli.main import main

__all__ = ["main"]
