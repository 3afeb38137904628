"""Puts tuned flags into the text of a spec: keys change, everything else stays as the user wrote it. Pure.

The places of keys and values come from PyYAML's own marks; the result is read again and compared, so that a file which
is written in a way not foreseen here is refused and not damaged.
"""

import re
from collections.abc import Mapping

import yaml

from flyball.errors import UsageError
from flyball.spec import FlagValue, MeasuredSpec, ServingSpec, parse_model

OURS = "flyball tune"
"""How the comments begin that are written, and replaced by the next run."""


def with_tuned_flags(
    text: str, flags: Mapping[str, FlagValue], *, evidence: Mapping[str, str], record: MeasuredSpec | None, source: str
) -> str:
    """`text` with `flags` in `engine` (quantization in `model`), `evidence` above each value, and `record`.

    UsageError if the file cannot be edited so that nothing else changes.
    """
    old = parse_model(ServingSpec, text, source=source)
    engine = {name: value for name, value in flags.items() if name != "quantization"}
    new = _edited(text, "engine", engine, evidence)
    if "quantization" in flags:
        new = _edited(new, "model", {"quantization": flags["quantization"]}, evidence)
    model = old.model.model_copy(update={"quantization": flags.get("quantization", old.model.quantization)})
    new = new if record is None else _recorded(new, record)
    measured = record or old.measured
    wanted = old.model_copy(update={"engine": {**old.engine, **engine}, "model": model, "measured": measured})
    try:
        same = parse_model(ServingSpec, new, source=source) == wanted
    except UsageError:
        same = False
    if not same:
        values = ", ".join(f"{name}: {_scalar(value)}" for name, value in flags.items())
        raise UsageError(f"{source} is written in a way that cannot be edited safely", fix=f"set by hand: {values}")
    return new


def _edited(text: str, section: str, values: Mapping[str, FlagValue], evidence: Mapping[str, str]) -> str:
    if not values:
        return text
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    for name_node, node in root.value:
        if name_node.value == section:
            if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
                return _in_block(text, node, values, evidence)
            return _in_flow(text, name_node, node, values, evidence)
    gap = "" if text.endswith("\n") else "\n"
    return f"{text}{gap}\n{section}:\n{_lines(values, evidence, '  ')}"


def _recorded(text: str, record: MeasuredSpec) -> str:
    """With the `measured` section in place of the one that is there, else at the end."""
    document = {**record.model_dump(mode="json", exclude_none=True), "date": record.date}
    body = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=1000, allow_unicode=True)
    section = "measured:  # by `flyball tune`; `flyball plan` uses it where all of it fits\n"
    section += "".join(f"  {line}\n" for line in body.splitlines())
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    for name, node in root.value:
        if name.value == "measured" and isinstance(node, yaml.MappingNode):
            lines = text.splitlines(keepends=True)
            last = node.end_mark.line if node.flow_style else _end_line(node)
            return "".join([*lines[: name.start_mark.line], section, *lines[last + 1 :]])
    return f"{text}{'' if text.endswith(chr(10)) else chr(10)}\n{section}"


def _in_block(text: str, node: yaml.MappingNode, values: Mapping[str, FlagValue], evidence: Mapping[str, str]) -> str:
    lines = text.splitlines(keepends=True)
    column = node.value[0][0].start_mark.column
    indent = " " * column
    places = {name.value: value for name, value in node.value}
    missing = {name: value for name, value in values.items() if name not in places}
    last = _end_line(node)
    if missing:
        if not lines[last].endswith("\n"):
            lines[last] += "\n"
        lines.insert(last + 1, _lines(missing, evidence, indent))
    for name in sorted(places.keys() & values.keys(), key=lambda each: -places[each].start_mark.line):
        start, end = places[name].start_mark, places[name].end_mark
        if start.line != end.line or not isinstance(places[name], yaml.ScalarNode):
            continue  # the comparison afterwards refuses it
        line = lines[start.line]
        lines[start.line] = line[: start.column] + _scalar(values[name]) + line[end.column :]
        if start.line > 0 and lines[start.line - 1].strip().startswith(f"# {OURS}"):
            lines[start.line - 1] = f"{indent}# {evidence[name]}\n"
        else:
            lines.insert(start.line, f"{indent}# {evidence[name]}\n")
    return "".join(lines)


def _end_line(node: yaml.MappingNode) -> int:
    """The line of the last value's last character."""
    value = node.value[-1][1]
    if isinstance(value, yaml.ScalarNode) or value.flow_style:
        end: int = value.end_mark.line - (1 if value.end_mark.column == 0 else 0)
        return end
    return _end_line(value) if isinstance(value, yaml.MappingNode) else int(value.value[-1].end_mark.line)


def _in_flow(
    text: str, name: yaml.Node, node: yaml.Node, values: Mapping[str, FlagValue], evidence: Mapping[str, str]
) -> str:
    """`engine: {a: 1}  # why` becomes a block; the user's comment stays on the first line."""
    indent = " " * name.start_mark.column + "  "
    kept = (
        ""
        if not isinstance(node, yaml.MappingNode)
        else "".join(
            f"{indent}{text[key.start_mark.index : value.end_mark.index]}\n"
            for key, value in node.value
            if key.value not in values
        )
    )
    rest = text[node.end_mark.index :]
    comment, _, after = rest.partition("\n")
    head = text[: node.start_mark.index].rstrip()
    first = head + (re.sub(r"^ *", "  ", comment) if comment.strip() else "")
    return f"{first}\n{kept}{_lines(values, evidence, indent)}{after}"


def _lines(values: Mapping[str, FlagValue], evidence: Mapping[str, str], indent: str) -> str:
    return "".join(f"{indent}# {evidence[name]}\n{indent}{name}: {_scalar(value)}\n" for name, value in values.items())


def _scalar(value: FlagValue) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
