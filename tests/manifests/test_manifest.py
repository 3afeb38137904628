"""`Manifest` and its YAML: what is read back is what was meant, and every reason stands in it."""

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyball.manifests import Because, Manifest, to_yaml
from flyball.manifests.manifest import unwrapped

KEYS = st.text(min_size=1, max_size=20)
TEXTS = st.one_of(
    st.text(),
    st.sampled_from(
        ["yes", "n", "on", "null", "~", "1e3", "0x10", "1_000", "12:30", "1.5", "=", "-", "--flag", "{{ a }}"]
    ),
    st.lists(st.sampled_from(["", " ", "a", "  b: c", "# d", "---", "\t"]), min_size=1).map("\n".join),
    st.sampled_from(["word", "sum(a)", "'", '"', "#", ": ", "- x"]).map(lambda word: " ".join(["long", word] * 20)),
)
SCALARS = st.one_of(
    TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32)
)


def with_reasons(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.builds(Because, values, st.text()))


VALUES = st.recursive(
    with_reasons(SCALARS),
    lambda inner: with_reasons(st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3))),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), min_size=1, max_size=2))
def test_the_text_reads_back_as_the_plain_objects(bodies: list[dict[str, Any]]) -> None:
    """Whatever the values and reasons, PyYAML reads from the text exactly the objects without reasons."""
    manifests = [Manifest(body=body, file="a.yaml", comment="what\nit is") for body in bodies]
    assert list(yaml.safe_load_all(to_yaml(manifests))) == [manifest.plain for manifest in manifests]


@pytest.mark.parametrize("text", ["1e3", "0x1F", "0o17", "1_000", "y", "N", "off", "12e4", "+1", ".5", "2026-01-01"])
def test_what_another_parser_takes_for_a_number_is_quoted(text: str) -> None:
    """YAML 1.2 and Go read some texts as numbers or truth values where PyYAML does not; quotes leave no doubt."""
    line = to_yaml([Manifest(body={"a": text}, file="a.yaml")])
    assert line.strip() in (f'a: "{text}"', f"a: '{text}'")


def test_reasons_stand_above_their_values() -> None:
    """Of a value, of a list item and of a whole section, each at the indent of what it is about."""
    body = {
        "spec": Because(
            {"grace": Because(75, "15 s and 60 s"), "args": ["a", Because("--b", "why b"), {"c": Because(1, "why c")}]},
            "why the section",
        )
    }
    assert to_yaml([Manifest(body=body, file="a.yaml", comment="An object.")]) == (
        "# An object.\n"
        "# why the section\n"
        "spec:\n"
        "  # 15 s and 60 s\n"
        "  grace: 75\n"
        "  args:\n"
        "    - a\n"
        "    # why b\n"
        "    - --b\n"
        "    # why c\n"
        "    - c: 1\n"
    )


def test_long_texts_stay_readable() -> None:
    """Lines stay lines, a long query is folded at spaces, and no line is wider than a page."""
    query = " + ".join(f'sum(vllm:num_requests_running{{namespace="{name}"}})' for name in "abcdefgh")
    text = to_yaml([Manifest(body={"file": "a: 1\n\n  b: 2\n", "spec": {"query": query}}, file="a.yaml")])
    assert "file: |\n  a: 1\n\n    b: 2\n" in text
    assert "query: >-\n" in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_manifest_tells_its_identity_through_reasons() -> None:
    """Kind, version, name and namespace are found even where a value has a reason."""
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": Because({"name": Because("chat", "the spec's name"), "namespace": "llm"}, "who"),
    }
    manifest = Manifest(body=body, file="a.yaml")
    assert (manifest.api_version, manifest.kind, manifest.name, manifest.namespace) == ("v1", "Service", "chat", "llm")
    assert manifest.plain["metadata"] == {"name": "chat", "namespace": "llm"}
    assert Manifest(body={"metadata": {"name": "x"}, "kind": "Namespace"}, file="a.yaml").namespace is None


def test_tuples_become_lists() -> None:
    """The API server takes JSON: tuples and mappings of any kind become lists and dicts."""
    assert unwrapped({"a": (1, Because((2,), "why"))}) == {"a": [1, [2]]}
