"""Which kinds an API server serves, and in which versions. Asked lazily, remembered for the life of a connection."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Read = Callable[[str], Any]
"""The JSON behind a path, or None where the server has nothing there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedKind:
    """One kind in one version, as discovery describes it."""

    api_version: str
    kind: str
    plural: str
    is_namespaced: bool
    verbs: frozenset[str]

    @property
    def resource(self) -> str:
        """As RBAC and kubectl name it: pods, deployments.apps."""
        group = self.api_version.rpartition("/")[0]
        return f"{self.plural}.{group}" if group else self.plural

    def path(self, namespace: str = "", name: str = "") -> str:
        """The URL path of the collection, or of the object in it."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.is_namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Discovery:
    """The kinds that one API server serves. `read` raises what a connection raises."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._kinds: dict[str, dict[str, ServedKind]] = {}
        self._versions: dict[str, tuple[str, ...]] = {}

    def kind(self, api_version: str, kind: str) -> ServedKind | None:
        """The kind in this version, or None if the server does not serve it."""
        return self._in_version(api_version).get(kind)

    def versions(self, group: str) -> tuple[str, ...]:
        """The served versions of a group, preferred first, as apiVersions; empty if the group is not served."""
        if group not in self._versions:
            document = self._read(f"/apis/{group}") if group else {"versions": [{"groupVersion": "v1"}]}
            self._versions[group] = () if document is None else tuple(_preferred_first(document))
        return self._versions[group]

    def other_versions(self, api_version: str, kind: str) -> tuple[str, ...]:
        """The apiVersions in which the server serves this kind, other than `api_version`."""
        group = api_version.rpartition("/")[0]
        others = (version for version in self.versions(group) if version != api_version)
        return tuple(version for version in others if self.kind(version, kind) is not None)

    def in_any_version(self, group: str, kind: str) -> ServedKind | None:
        """The kind in the first version of its group that serves it."""
        found = (self.kind(version, kind) for version in self.versions(group))
        return next((served for served in found if served is not None), None)

    def everything(self) -> Iterator[ServedKind]:
        """Every kind in the preferred version of its group."""
        yield from self._in_version("v1").values()
        for group in (self._read("/apis") or {}).get("groups", []):
            self._versions[group["name"]] = tuple(_preferred_first(group))
            seen: set[str] = set()
            for version in self._versions[group["name"]]:
                found = self._in_version(version).values()
                yield from (served for served in found if served.kind not in seen)
                seen |= {served.kind for served in found}

    def _in_version(self, api_version: str) -> dict[str, ServedKind]:
        if api_version not in self._kinds:
            root = "apis" if "/" in api_version else "api"
            document = self._read(f"/{root}/{api_version}")
            self._kinds[api_version] = {} if document is None else _kinds(api_version, document)
        return self._kinds[api_version]


def _preferred_first(group: Mapping[str, Any]) -> list[str]:
    versions = [entry["groupVersion"] for entry in group.get("versions", [])]
    preferred = (group.get("preferredVersion") or {}).get("groupVersion")
    return sorted(versions, key=lambda version: version != preferred)


def _kinds(api_version: str, document: Mapping[str, Any]) -> dict[str, ServedKind]:
    """Of an APIResourceList; its entries with a slash are subresources."""
    return {
        entry["kind"]: ServedKind(
            api_version=api_version,
            kind=entry["kind"],
            plural=entry["name"],
            is_namespaced=bool(entry.get("namespaced")),
            verbs=frozenset(entry.get("verbs") or ()),
        )
        for entry in document.get("resources") or []
        if "/" not in entry["name"]
    }
