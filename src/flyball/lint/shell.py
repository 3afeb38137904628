"""The words of a command in a shell script: `sh -c "... vllm serve model --flag value && ..."`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_PIECE = re.compile(
    r"""
    (?P<continued>\\\n)
  | (?P<escaped>\\(?s:.))
  | '(?P<single>[^']*)'
  | "(?P<double>(?:\\(?s:.)|[^"\\])*)"
  | (?P<substitution>\$\([^()]*\))
  | (?P<comment>(?<![^\s])\#[^\n]*)
  | (?P<redirection>\d*(?:>>?|<)(?:&\d+|\s*\S+))
  | (?P<end>[;&|()\n])
  | (?P<space>[ \t\r]+)
  | (?P<plain>[^\s;&|()<>'"\\\#$]+|.)
    """,
    re.VERBOSE,
)
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::?-(?P<default>[^}]*))?\}|\((?P<kubernetes>\w+)\)|(?P<plain>\w+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellWord:
    text: str
    newlines_before: int
    """Lines of the script above the word."""


def first_command(script: str, start: int) -> Iterator[ShellWord]:
    """The words of the command that begins at `start`, without quotes, redirections and comments."""
    word: str | None = None
    begin = start
    for piece in _PIECE.finditer(script, start):
        kind = piece.lastgroup
        if kind in ("space", "continued", "comment", "redirection", "end"):
            if word is not None:
                yield ShellWord(text=word, newlines_before=script.count("\n", 0, begin))
            word = None
            if kind == "end":
                return
            continue
        if word is None:
            word, begin = "", piece.start()
        word += piece[0][1:] if kind == "escaped" else piece[str(kind)]
    if word is not None:
        yield ShellWord(text=word, newlines_before=script.count("\n", 0, begin))


def expand(text: str, environment: Mapping[str, str]) -> str:
    """`text` with the variables that are known; others stay as they are written."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["kubernetes"] or match["plain"]
        if name in environment:
            return environment[name]
        return match["default"] if match["default"] is not None else match[0]

    return _VARIABLE.sub(value, text)
