"""How a container starts vLLM: the flags of `vllm serve`, from command, args, a shell script or a config file."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flyball.catalog import EngineRelease
from flyball.lint.node import Node
from flyball.lint.shell import expand, first_command

_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})
_SERVE = re.compile(r"(?:^|(?<=[\s;&|(]))(?:\S*/)?(?:vllm\s+serve|python\S*\s+-m\s+vllm\.entrypoints\.\S+)(?=\s|$)")
_DEPRECATED_ENTRY = "vllm.entrypoints."
_SWITCHES = ("--enable-", "--disable-", "--no-", "-O")
_COMMENT_LINE = re.compile(r"^\s*#.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a command line: its text with known variables filled in, and the value that holds it."""

    text: str
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag as given."""

    name: str
    """vLLM's name with underscores; of an unknown option, its own spelling with underscores."""
    option: str
    """As it was spelled: `--max-num-seqs`, `-tp`."""
    values: tuple[str, ...]
    """Empty for a switch."""
    node: Node
    is_off: bool = False
    """Whether it is the spelling that switches a boolean off."""

    @property
    def text(self) -> str:
        return " ".join(self.values)

    @property
    def is_on(self) -> bool:
        """Whether a boolean is switched on."""
        return not self.is_off and self.text.lower() not in ("false", "0")

    @property
    def is_known(self) -> bool:
        """Whether the value is in the manifest, not in a variable that something else sets."""
        return "$" not in self.text

    @property
    def number(self) -> float | None:
        return human_number(self.text)

    @property
    def written(self) -> str:
        return " ".join((self.option, *self.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeCommand:
    """`vllm serve` with what follows it."""

    node: Node
    """Where it begins."""
    model: Word | None
    """Its first argument, if it has one; it may also be the flag `model`."""
    flags: Mapping[str, Flag]
    deprecated_module: str = ""
    """The module, where it is started as `python -m vllm.entrypoints...`."""
    config: Flag | None = field(default=None)
    """`--config FILE`, which may hold more flags."""


def human_number(text: str) -> float | None:
    """As vLLM reads its integers (`human_readable_int`): `32k` is 32,000 and `32K` is 32,768."""
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)([kmgtKMGT]?)", text.strip())
    if match is None:
        return None
    power = " kmgt".index(match[2].lower() or " ")
    number = float(match[1]) * float((1024 if match[2].isupper() else 1000) ** power)
    return number if math.isfinite(number) else None


def serve_command(
    container: Node, *, has_engine_image: bool, environment: Mapping[str, str], release: EngineRelease
) -> ServeCommand | None:
    """How `container` serves a model; None if it does something else."""
    command, args = container.at("command").items(), container.at("args").items()
    nodes = (*command, *args)
    first = command[0].text.rpartition("/")[2] if command else ""
    if first in _SHELLS:
        return _from_script(nodes[1:], environment, release)
    words = [Word(text=expand(node.text, environment), node=node) for node in nodes]
    texts = [word.text for word in words]
    if first == "vllm" and texts[1:2] == ["serve"]:
        return build(words[2:], node=words[1].node, release=release)
    if len(texts) > 2 and first.startswith("python") and texts[1] == "-m" and texts[2].startswith(_DEPRECATED_ENTRY):
        return build(words[3:], node=words[2].node, release=release, module=texts[2])
    if has_engine_image and not command:
        node = container.at("args") if args else container
        return build(words, node=node, release=release)
    return None


def _from_script(nodes: Sequence[Node], environment: Mapping[str, str], release: EngineRelease) -> ServeCommand | None:
    script = next((node for node in nodes if not node.text.startswith("-")), None)
    if script is None:
        return None
    text = _COMMENT_LINE.sub(lambda match: " " * len(match[0]), script.text)
    start = _SERVE.search(text)
    if start is None:
        return None
    words = [
        Word(text=expand(word.text, environment), node=_within(script, word.newlines_before))
        for word in first_command(text, start.end())
    ]
    module = start[0].split()[-1] if _DEPRECATED_ENTRY in start[0] else ""
    node = _within(script, script.text.count("\n", 0, start.start()))
    return build(words, node=node, release=release, module=module)


def _within(script: Node, lines: int) -> Node:
    line = script.text_line + lines
    return Node(value=script.value, line=line, path=script.path, text_line=line, file=script.file)


def build(words: Sequence[Word], *, node: Node, release: EngineRelease, module: str = "") -> ServeCommand:
    positional: list[Word] = []
    flags: dict[str, Flag] = {}
    for flag in _parse(words, release, positional):
        flags[flag.name] = flag
    model = positional[0] if positional else None
    return ServeCommand(node=node, model=model, flags=flags, deprecated_module=module, config=flags.get("config"))


def _parse(words: Sequence[Word], release: EngineRelease, positional: list[Word]) -> Iterator[Flag]:
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if not _is_option(word.text):
            positional.append(word)
            continue
        option, given, value = word.text.partition("=")
        known = release.find_flag(option)
        values: tuple[str, ...] = (value,) if given else ()
        is_switch = known.kind == "boolean" if known else option.startswith(_SWITCHES) and option != "-O"
        if not given and not is_switch:
            most = len(words) if known and known.kind == "list" else index + 1
            while index < min(most, len(words)) and not _is_option(words[index].text):
                values += (words[index].text,)
                index += 1
        yield Flag(
            name=known.name if known else option.lstrip("-").replace("-", "_"),
            option=option,
            values=values,
            node=word.node,
            is_off=bool(known and option in known.off),
        )


def _is_option(text: str) -> bool:
    return text.startswith("-") and not re.fullmatch(r"-\d+(?:\.\d+)?|-", text)


def flags_of_config(root: Node, release: EngineRelease) -> dict[str, Flag]:
    """The flags of a `--config` file: a mapping of option names to values."""
    flags: dict[str, Flag] = {}
    for key, value in root.entries():
        known = release.find_flag(key)
        name = known.name if known else key.replace("-", "_")
        values = tuple(item.text for item in value.items()) or ((value.text,) if value.text else ())
        flags[name] = Flag(name=name, option=f"--{key}", values=values, node=value, is_off=value.is_false)
    return flags
