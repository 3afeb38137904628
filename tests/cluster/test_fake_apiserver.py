"""The tests' API server behaves as Kubernetes' documentation of server-side apply says it does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_apiserver_apply import ConflictError, owned_paths
from fake_apiserver_controllers import deployments, scale
from fake_apiserver_fields import dotted, leaves, schema_of, to_fields_v1
from fake_apiserver_selectors import matches_labels
from fake_apiserver_store import RefusalError, Store

Object = dict[str, Any]


def deployment(**spec: Any) -> Object:
    template = {
        "metadata": {"labels": {"app": "x"}},
        "spec": {"containers": [{"name": "vllm", "image": "v1", "ports": [{"containerPort": 8000}]}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **spec},
    }


def config_map(data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}, "data": data}


def managers(body: Object) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in body["metadata"]["managedFields"]}


def test_an_apply_owns_what_it_sends_and_not_the_defaults() -> None:
    """Lists of maps are owned item by item with their keys, selectors as a whole, defaults by nobody."""
    body, is_new = Store().apply(deployment())

    assert is_new
    assert body["spec"]["replicas"] == 1
    assert managers(body) == {
        "flyball": {
            "f:spec": {
                "f:selector": {},
                "f:template": {
                    "f:metadata": {"f:labels": {"f:app": {}}},
                    "f:spec": {
                        "f:containers": {
                            'k:{"name":"vllm"}': {
                                ".": {},
                                "f:image": {},
                                "f:name": {},
                                "f:ports": {
                                    'k:{"containerPort":8000,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}
                                },
                            }
                        }
                    },
                },
            }
        }
    }


def test_the_same_apply_again_writes_nothing() -> None:
    """A second apply leaves the resource version, and no watcher hears of it."""
    store = Store()
    first, _ = store.apply(deployment())
    second, is_new = store.apply(deployment())

    assert not is_new
    assert first == second


def test_another_managers_value_is_a_conflict_that_names_it() -> None:
    """Changing a field that kubectl set fails, until it is forced; kubectl then owns it no more."""
    store = Store()
    store.put(config_map({"a": "1", "b": "1"}), manager="kubectl")
    with pytest.raises(ConflictError) as caught:
        store.apply(config_map({"a": "2"}))
    assert [(manager.name, dotted(path)) for manager, path in caught.value.fields] == [("kubectl", ".data.a")]

    forced, _ = store.apply(config_map({"a": "2"}), force=True)

    assert forced["data"] == {"a": "2", "b": "1"}
    assert managers(forced) == {"flyball": {"f:data": {"f:a": {}}}, "kubectl": {"f:data": {"f:b": {}}}}


def test_the_same_value_is_owned_by_both() -> None:
    """Applying what somebody else set already is no conflict; dropping it later leaves it to them."""
    store = Store()
    store.put(config_map({"a": "1"}), manager="kubectl")
    shared, _ = store.apply(config_map({"a": "1"}))
    assert set(managers(shared)) == {"flyball", "kubectl"}

    left, _ = store.apply(config_map({}))

    assert left["data"] == {"a": "1"}


def test_what_is_no_longer_applied_goes() -> None:
    """A field and a list item that only we owned are removed; what another owns within an item keeps the item."""
    store = Store()
    store.apply(config_map({"a": "1", "b": "2"}))
    assert store.apply(config_map({"a": "1"}))[0]["data"] == {"a": "1"}

    wide = deployment()
    wide["spec"]["template"]["spec"]["containers"] += [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]
    store.apply(wide)
    mesh = deployment()
    mesh["spec"]["template"]["spec"]["containers"] = [{"name": "b", "env": [{"name": "X", "value": "1"}]}]
    store.apply(mesh, manager="mesh")
    narrow, _ = store.apply(deployment())

    names = [container["name"] for container in narrow["spec"]["template"]["spec"]["containers"]]
    assert names == ["vllm", "b"]


def test_dropping_replicas_resets_them_to_the_default() -> None:
    """The trap of moving to an autoscaler: who alone owned the replica count and stops naming it gets one replica."""
    store = Store()
    store.apply(deployment(replicas=4))

    assert store.apply(deployment())[0]["spec"]["replicas"] == 1


def test_the_autoscaler_takes_the_replicas() -> None:
    """An update through scale makes the controller the owner; naming another count is a conflict with it."""
    store = Store()
    store.apply(deployment(replicas=1))
    scale(store, "x", "default", 3)
    with pytest.raises(ConflictError) as caught:
        store.apply(deployment(replicas=1))

    ((manager, path),) = caught.value.fields
    assert (manager.name, manager.subresource, dotted(path)) == ("kube-controller-manager", "scale", ".spec.replicas")


def test_a_dry_run_changes_nothing() -> None:
    """The answer shows the result, and the store still has the old object."""
    store = Store()
    store.apply(config_map({"a": "1"}))
    version = store.version

    assert store.apply(config_map({"a": "2"}), dry_run=True)[0]["data"] == {"a": "2"}
    assert store.version == version
    live = store.get("ConfigMap", "x", "default")
    assert live is not None
    assert live["data"] == {"a": "1"}


def test_fixed_fields_are_refused() -> None:
    """A Job's template cannot change."""
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "x", "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "1"}]}}},
    }
    store = Store()
    store.apply(job)
    job["spec"] = {"template": {"spec": {"containers": [{"name": "a", "image": "2"}]}}}
    with pytest.raises(RefusalError, match="immutable"):
        store.apply(job)


def test_a_namespace_goes_with_what_is_in_it_and_an_owner_with_what_it_owns() -> None:
    """Deletion cascades, and an object in a namespace that is gone cannot be made."""
    store = Store()
    store.reactions.append(deployments())
    store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "llm"}})
    store.apply(deployment() | {"metadata": {"name": "x", "namespace": "llm"}})
    assert len(store.all("Pod", "llm")) == 1

    store.delete("Deployment", "x", "llm")
    assert store.all("Pod", "llm") == []
    store.delete("Namespace", "llm")
    with pytest.raises(RefusalError, match='namespaces "llm" not found'):
        store.apply(config_map({}) | {"metadata": {"name": "x", "namespace": "llm"}})


VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda parts: st.lists(parts, max_size=2) | st.dictionaries(st.sampled_from("abc"), parts, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1))
def test_paths_name_each_leaf_once(spec: dict[str, Any]) -> None:
    """Whatever the object: no path is inside another one's atomic value, and the tree has one leaf a path."""
    body = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": spec}
    paths = owned_paths(body)

    def count(node: dict[str, Any]) -> int:
        return sum(count(child) if child else 1 for child in node.values()) if node else 0

    assert count(to_fields_v1(paths)) == len(paths)
    assert paths <= {path for path, _ in leaves(schema_of("example.com/v1", "Thing"), body)}


@pytest.mark.parametrize(
    ("selector", "is_match"),
    [("a=1", True), ("a!=1", False), ("a in (0, 1),b", True), ("!c", True), ("!a", False), ("a=1,b=3", False)],
)
def test_label_selectors(selector: str, is_match: bool) -> None:
    """Selectors in kubectl's notation."""
    assert matches_labels(selector, {"metadata": {"labels": {"a": "1", "b": "2"}}}) is is_match
