"""Who owns what, and what an apply would change: read from managedFields and a dry run, whatever the object."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_apiserver_fields import dotted, schema_of, without
from fake_apiserver_store import Store
from flyball.cluster.difference import adopted_fields, compared, field_changes
from flyball.cluster.objects import key_of
from flyball.cluster.ownership import MISSING, Field, Item, managers_of, owned_fields, owners_of, value_at
from flyball.cluster.refusals import Conflict
from plain_service import body, config_map, deployment, namespace

Object = dict[str, Any]


def store() -> Store:
    made = Store()
    made.put(namespace())
    return made


def changes(live: Object, result: Object) -> list[tuple[str, Any, Any]]:
    return [(each.field, each.old, each.new) for each in field_changes(live, result)]


def test_owned_fields_of_a_deployment() -> None:
    """Fields and items are named as the API server's conflicts name them, and found again in the object."""
    live, _ = store().apply(deployment())
    owned = {str(field): value_at(live, field) for field in owned_fields(live, "flyball")}

    image = '.spec.template.spec.containers[name="vllm"].image'
    port = '.spec.template.spec.containers[name="vllm"].ports[containerPort=8000,protocol="TCP"]'
    assert owned[image] == "vllm:1"
    assert owned[port]["containerPort"] == 8000
    assert owned[".spec.selector"] == deployment()["spec"]["selector"]
    assert ".spec.replicas" not in owned
    assert MISSING not in owned.values()


def test_sets_and_unknown_elements() -> None:
    """An item of a set is found by its value; an index, which nobody may use, is passed over."""
    live = {
        "metadata": {
            "finalizers": ["a", "b"],
            "managedFields": [
                {
                    "manager": "flyball",
                    "operation": "Apply",
                    "fieldsV1": {"f:metadata": {"f:finalizers": {'v:"a"': {}, 'v:"c"': {}, "i:0": {}}}},
                }
            ],
        }
    }
    owned = sorted(owned_fields(live, "flyball"), key=str)

    assert [(str(field), value_at(live, field)) for field in owned] == [
        ('.metadata.finalizers[="a"]', "a"),
        ('.metadata.finalizers[="c"]', MISSING),
    ]


def test_who_owns_a_field() -> None:
    """Updates count too, the status does not make a manager."""
    made = store()
    made.put(config_map(a="1"), manager="kubectl")
    live, _ = made.apply(config_map(a="1"))
    made.edit("Namespace", "llm", "", manager="controller", subresource="status", status={"phase": "Active"})
    home = made.get("Namespace", "llm")

    assert [entry["manager"] for entry in owners_of(live, Field(("data", "a")))] == ["flyball", "kubectl"]
    assert managers_of(live) == ("flyball", "kubectl")
    assert home is not None
    assert managers_of(home) == ("kubectl",)


def test_changes_are_told_once_and_only_ours() -> None:
    """A new container is one change; defaults, the status and other managers' fields are none."""
    made = store()
    live, _ = made.apply(deployment())
    made.edit("Deployment", "chat-engine", "llm", manager="hpa", spec={"replicas": 5}, status={"replicas": 5})
    wanted = deployment(image="vllm:2")
    wanted["spec"]["template"]["spec"]["containers"].append({"name": "proxy", "image": "envoy:1"})
    result, _ = made.apply(wanted, dry_run=True)

    found = changes(live, result)

    containers = ".spec.template.spec.containers"
    assert [(field, old) for field, old, _ in found] == [
        (f'{containers}[name="proxy"]', MISSING),
        (f'{containers}[name="vllm"].image', "vllm:1"),
    ]
    assert found[0][2]["image"] == "envoy:1"
    assert found[1][2] == "vllm:2"


def test_what_is_no_longer_applied_is_a_change() -> None:
    """A field that only we owned and drop is told with the value that goes."""
    made = store()
    live, _ = made.apply(config_map(a="1", b="2"))
    result, _ = made.apply(config_map(a="1"), dry_run=True)

    assert changes(live, result) == [(".data.b", "2", MISSING)]


def test_adopting_is_no_change_of_values() -> None:
    """An object that somebody made as we would: only the ownership is new."""
    made = store()
    live = made.put(config_map(a="1"), manager="kubectl")
    result, _ = made.apply(config_map(a="1"), dry_run=True)

    change = compared(live, result, key=key_of(live))

    assert (change.action, change.fields) == ("adopt", ())
    assert change.adopted == adopted_fields(live, result) == 3  # the value and two labels


def test_a_secret_stays_secret() -> None:
    """Differences are printed and kept in logs: of a Secret they say that it changes, not to what."""
    made = store()
    live, _ = made.apply(body("v1", "Secret", "key", data={"key": "aHVudGVyMg=="}))
    result, _ = made.apply(body("v1", "Secret", "key", data={"key": "c3dvcmRmaXNo", "new": "eA=="}), dry_run=True)

    assert changes(live, result) == [
        (".data.key", "(secret)", "(secret)"),
        (".data.new", MISSING, "(secret)"),
    ]


def test_conflicts_and_notes_are_kept() -> None:
    """A change carries what it takes from others."""
    live, _ = store().apply(config_map(a="1"))
    conflict = Conflict(manager="kubectl", field=".data.a")

    assert compared(live, live, key=key_of(live), taken=[conflict], notes=["x"]).taken == (conflict,)


NAMES = st.sampled_from(["a", "b", "c"])
TEXT = st.sampled_from(["1", "2"])
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES, "image": TEXT},
        optional={"args": st.lists(TEXT, max_size=2), "env": st.just([{"name": "X", "value": "1"}])},
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda container: container["name"],
)


@st.composite
def deployments(draw: st.DrawFn) -> Object:
    """Deployments whose containers, labels and annotations differ."""
    made = deployment(replicas=draw(st.none() | st.integers(0, 3)))
    made["metadata"]["annotations"] = draw(st.dictionaries(NAMES, TEXT))
    made["spec"]["template"]["spec"]["containers"] = draw(CONTAINERS)
    return made


@settings(deadline=None, max_examples=25)
@given(deployments(), deployments())
def test_an_apply_does_what_the_difference_said(before: Object, after: Object) -> None:
    """Nothing differs from itself; the dry run predicts the apply; a second apply changes nothing."""
    made = store()
    live, _ = made.apply(before)
    assert field_changes(live, live) == ()

    tried, _ = made.apply(after, dry_run=True)
    done, _ = made.apply(after)
    assert changes(live, tried) == changes(live, done)

    again, _ = made.apply(after, dry_run=True)
    assert compared(done, again, key=key_of(done)).action == "unchanged"
    fields = {str(each): each for each in owned_fields(live, "flyball") | owned_fields(done, "flyball")}
    assert all(value_at(done, fields[field]) == new for field, _, new in changes(live, done))


@settings(deadline=None, max_examples=25)
@given(deployments(), st.data())
def test_whatever_we_own_less_of_is_the_difference(wanted: Object, data: st.DataObject) -> None:
    """Dropping any owned annotations and containers shows exactly these as gone."""
    made = store()
    live, _ = made.apply(wanted)
    items = [field for field in owned_fields(live, "flyball") if _is_droppable(field)]
    dropped = data.draw(st.lists(st.sampled_from(items), unique=True) if items else st.just([]))
    smaller = copy.deepcopy(wanted)
    for field in dropped:
        smaller = _drop(smaller, field)
    result, _ = made.apply(smaller, dry_run=True)

    assert {field for field, _, _ in changes(live, result)} == {str(field) for field in dropped}


def _is_droppable(field: Field) -> bool:
    steps = field.steps
    return steps[:2] == ("metadata", "annotations") or (field.is_item and steps[-2] == "containers")


def _drop(body: Object, field: Field) -> Object:
    path = tuple(("k", step.keys) if isinstance(step, Item) else ("f", step) for step in field.steps)
    assert dotted(path) == str(field)
    smaller: Object = without(schema_of("apps/v1", "Deployment"), body, [path])
    return smaller


@pytest.mark.parametrize("text", [".spec", '[name="a"]', '[containerPort=8000,protocol="TCP"]', '[="x"]'])
def test_steps_are_written_as_the_api_server_writes_them(text: str) -> None:
    """So that a conflict's field can be compared with ours."""
    steps = {
        ".spec": Field(("spec",)),
        '[name="a"]': Field((Item(keys=(("name", "a"),)),)),
        '[containerPort=8000,protocol="TCP"]': Field((Item(keys=(("containerPort", 8000), ("protocol", "TCP"))),)),
        '[="x"]': Field((Item(value="x"),)),
    }

    assert str(steps[text]) == text
