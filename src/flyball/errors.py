"""Everything flyball raises on purpose, as one tree.

    FlyballError                 an answer that the user must act on; `exit_code` is the process's
    ├── UsageError        (2)    wrong command line, spec or input file
    └── OutsideError      (3)    a process, a file system, a network or a server failed us

"The answer is no" (exit code 1) is a value, a verdict, a rejection or a finding, and never an exception.
Any other exception that reaches the command line is a defect of flyball.
"""

from typing import ClassVar


class FlyballError(Exception):
    """`what` says what is wrong and where, in one line; `fix` says what to do about it, in one line."""

    exit_code: ClassVar[int] = 3

    def __init__(self, what: str, *, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n  {self.fix}" if self.fix else self.what


class UsageError(FlyballError):
    """The command line, the spec or a file that the user gave is wrong."""

    exit_code: ClassVar[int] = 2


class OutsideError(FlyballError):
    """Something outside flyball failed: a process, the disk, the network, a server."""

    exit_code: ClassVar[int] = 3
