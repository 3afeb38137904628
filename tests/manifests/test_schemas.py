"""Every rendered object, for a matrix of specs, is one that the API server takes."""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from flyball.cli.rendering import gateway_bootstrap
from flyball.errors import UsageError
from flyball.manifests import Manifest, render
from flyball.manifests.karpenter import karpenter_objects
from service_designs import MATRIX, design, objects, of_kind

CRDS = Path(__file__).parent / "data" / "crds.yaml"
VERSION, OTHER_VERSIONS = "1.36", ("1.34", "1.37")
_CHECKED: set[tuple[str, str]] = set()
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)  # it parses 6 MB each time
RESTRICTED_DOMAINS = re.compile(r"(^|\.)(kubernetes\.io|k8s\.io|karpenter\.sh)/")
ALLOWED_REQUIREMENTS = ("kubernetes.io/arch", "karpenter.sh/capacity-type", "node.kubernetes.io/instance-type")


@pytest.fixture(params=MATRIX, scope="module")
def rendered(request: pytest.FixtureRequest) -> tuple[Manifest, ...]:
    return objects(MATRIX[request.param])


@cache
def crds() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(CRDS.read_text())
    return document


def closed(schema: Any) -> Any:
    """An object that lists its properties has no others, as with strict field validation."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {key: closed(value) for key, value in schema.items()}
    return {"additionalProperties": False, **kept} if isinstance(kept.get("properties"), Mapping) else kept


def check_core(body: Mapping[str, Any], version: str) -> None:
    text = json.dumps(body, sort_keys=True)
    if (text, version) not in _CHECKED:  # many objects are the same for most specs
        kubernetes_validate.validate(body, version, strict=True)
        _CHECKED.add((text, version))


def check_custom(body: Mapping[str, Any]) -> None:
    known = crds()[body["kind"]]
    assert body["apiVersion"] == known["apiVersion"]
    whole = {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {},
            "kind": {},
            "metadata": {"$ref": "#/definitions/Metadata"},
            "spec": known["schema"],
        },
        "definitions": crds()["definitions"],
    }
    jsonschema.Draft7Validator(closed(whole)).validate(body)


def test_every_object_is_valid_and_strictly_so(rendered: tuple[Manifest, ...]) -> None:
    """Core objects against the API's own schemas, custom ones against their CRDs'."""
    for manifest in rendered:
        body = manifest.plain
        assert body == json.loads(json.dumps(body))
        if manifest.kind in crds():
            check_custom(body)
        else:
            check_core(body, VERSION)


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_older_and_newer_api_servers_take_them_too(version: str) -> None:
    """The native sleep of preStop is as old as 1.34's schemas; nothing has gone by 1.37."""
    for name in ("key", "spot above a floor", "adapter"):
        for manifest in objects(MATRIX[name]):
            if manifest.kind not in crds():
                check_core(manifest.plain, version)


def test_the_schemas_notice_a_misspelt_field() -> None:
    """The check can fail: a field that no schema has is refused, in core objects and in custom ones."""
    manifests = objects(MATRIX["plain"])
    deployment = deepcopy(of_kind(manifests, "Deployment", "chat-engine"))
    deployment["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["second"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSION, strict=True)
    scaled = deepcopy(of_kind(manifests, "ScaledObject"))
    scaled["spec"]["fallback"]["replica"] = 1
    with pytest.raises(jsonschema.ValidationError):
        check_custom(scaled)


def test_keda_gets_a_behavior_that_an_hpa_takes(rendered: tuple[Manifest, ...]) -> None:
    """KEDA copies the behaviour into an HPA: as part of one, the API's own schema accepts it."""
    for manifest in rendered:
        if manifest.kind == "ScaledObject":
            spec = manifest.plain["spec"]
            hpa = {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "keda-hpa"},
                "spec": {
                    "scaleTargetRef": spec["scaleTargetRef"],
                    "maxReplicas": spec["maxReplicaCount"],
                    "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
                },
            }
            check_core(hpa, VERSION)


def test_names_labels_and_references_fit_together(rendered: tuple[Manifest, ...]) -> None:
    """Selectors select the pods that are there, and every claim, ConfigMap, Secret and account exists."""
    names = {(each.kind, each.name) for each in rendered}
    assert len({(each.api_version, each.kind, each.namespace, each.name) for each in rendered}) == len(rendered)
    pods = [each for manifest in rendered for each in pod_templates(manifest.plain)]
    for manifest in rendered:
        for label, value in manifest.plain["metadata"].get("labels", {}).items():
            assert re.fullmatch(r"([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", label), label
            assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value), value
        for selector in selectors(manifest.plain):
            assert any(selector.items() <= pod["metadata"]["labels"].items() for pod in pods), manifest.name
    for pod in pods:
        spec = pod["spec"]
        assert ("ServiceAccount", spec["serviceAccountName"]) in names
        mounted = {m["name"] for c in (*spec["containers"], *spec.get("initContainers", ())) for m in c["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}
        for volume in spec["volumes"]:
            for kind, key, field in (
                ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
                ("ConfigMap", "configMap", "name"),
                ("Secret", "secret", "secretName"),
            ):
                assert key not in volume or (kind, volume[key][field]) in names


def test_selectors_of_two_controllers_never_overlap(rendered: tuple[Manifest, ...]) -> None:
    """No Deployment's selector matches another's pods: they would fight over them."""
    deployments = [each.plain["spec"] for each in rendered if each.kind == "Deployment"]
    for one in deployments:
        for other in deployments:
            overlap = one["selector"]["matchLabels"].items() <= other["template"]["metadata"]["labels"].items()
            assert overlap == (one is other)


def test_every_pod_passes_pod_security(rendered: tuple[Manifest, ...]) -> None:
    """The namespace enforces `restricted` wherever no volume is on the node, and every pod keeps to it."""
    namespace = next(each.plain for each in rendered if each.kind == "Namespace")
    level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    on_node = False
    for manifest in rendered:
        for pod in pod_templates(manifest.plain):
            spec = pod["spec"]
            assert spec["securityContext"]["runAsNonRoot"]
            assert spec["securityContext"]["runAsUser"] > 0
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not spec["automountServiceAccountToken"]
            assert not spec["enableServiceLinks"]
            assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
            for container in (*spec["containers"], *spec.get("initContainers", ())):
                context = container["securityContext"]
                assert context == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }
                assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            on_node |= any("hostPath" in volume for volume in spec["volumes"])
    assert level == ("privileged" if on_node else "restricted")


def empty_parts(value: Any, path: str = "") -> Iterator[str]:
    """Paths of empty lists and maps; `emptyDir: {}` is a choice, and a metadata without labels is not rendered."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from empty_parts(part, f"{path}.{key}") if key != "emptyDir" else ()
    elif isinstance(value, list):
        for part in value:
            yield from empty_parts(part, f"{path}[]")
    if isinstance(value, Mapping | list) and not value:
        yield path


def test_nothing_is_rendered_that_the_api_server_forgets(rendered: tuple[Manifest, ...]) -> None:
    """An empty list is dropped when it is stored: a second manager of it, or Argo CD, sees a difference for ever."""
    assert [(manifest.name, path) for manifest in rendered for path in empty_parts(manifest.plain)] == []


def test_a_new_key_replaces_all_that_read_the_old_one() -> None:
    """Gateway and replicas read it when they start: with one of them left as it was, every answer would be 401."""
    service = MATRIX["key"]
    old, new = (
        render(service, gateway_bootstrap=gateway_bootstrap(service, key), api_key=key) for key in ("sk-1", "sk-2")
    )

    for name in ("chat-engine", "chat-gateway"):
        before, after = (of_kind(made, "Deployment", name)["spec"]["template"] for made in (old, new))
        assert before["metadata"]["annotations"] != after["metadata"]["annotations"]
        assert before["spec"] == after["spec"]
    assert "sk-1" not in json.dumps([each.plain for each in old if each.kind != "Secret"])


def test_a_node_pool_has_a_name_that_a_label_can_hold() -> None:
    """Karpenter labels each node with its pool's name, which no schema of the pool bounds."""
    with pytest.raises(UsageError, match="77 characters"):
        karpenter_objects(design({"name": "a" * 36, "kubernetes": {"namespace": "b" * 40}}))


def test_node_pools_keep_to_karpenters_own_rules(rendered: tuple[Manifest, ...]) -> None:
    """The rules that Karpenter's CRD states as expressions: no restricted label, limits, a class that exists."""
    classes = {each.name for each in rendered if each.kind == "EC2NodeClass"}
    for manifest in rendered:
        if manifest.kind == "NodePool":
            template = manifest.plain["spec"]["template"]
            assert template["spec"]["nodeClassRef"]["name"] in classes
            for label in template.get("metadata", {}).get("labels", {}):
                assert not RESTRICTED_DOMAINS.search(label)
            for requirement in template["spec"]["requirements"]:
                key = requirement["key"]
                assert key in ALLOWED_REQUIREMENTS or not RESTRICTED_DOMAINS.search(key)


def pod_templates(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if body["kind"] in ("Deployment", "Job"):
        yield body["spec"]["template"]


def selectors(body: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    """Label selectors over this service's pods."""
    spec = body.get("spec", {})
    match body["kind"]:
        case "Service":
            yield spec["selector"]
        case "Deployment" | "PodDisruptionBudget" | "PodMonitor":
            yield spec["selector"]["matchLabels"]
        case "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]
            for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
                for peer in (*rule.get("from", ()), *rule.get("to", ())):
                    if "podSelector" in peer:
                        yield peer["podSelector"]["matchLabels"]
