"""Recorded syncs of a real HPA controller: the file format, as values.

A trace is one scenario: the HPA's spec, the controller's flags and what happened, in order of `t` (seconds; 0 is the
creation of the HPA). Of its events the law needs two kinds, `sync` (what one reconcile read and wrote) and `action`
(changes of the HPA itself); all others are skipped, as is every field not named here.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from flyball.scaling.observation import PodPhase
from flyball.scaling.quantity import milli_value
from flyball.scaling.validation import validated

Milli: TypeAlias = Annotated[int, BeforeValidator(milli_value)]
FIX = "`flyball replay --help` describes a trace"


class _Recorded(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class RecordedPod(_Recorded):
    """A pod's state at a sync."""

    phase: PodPhase
    ready: bool
    deleting: bool = False


class RecordedQuery(_Recorded):
    """One answer of the metrics API: samples per pod, or values, or an HTTP status that was not 200."""

    metric: str
    values: dict[str, Milli] | None = None
    external: list[Milli] | None = None
    error: int | str | None = None


class RecordedSync(_Recorded):
    """One reconcile. A field of the outcome that is not in the file is not in `model_fields_set`."""

    t: float
    n: int
    hpa: str | None = None  # the name of a second HPA on the same target
    scale_spec_replicas: int | None = Field(None, ge=0)
    scale_status_replicas: int | None = Field(None, ge=0)
    scale_get_code: int | None = None
    queries: list[RecordedQuery] = []
    pods: dict[str, RecordedPod] = {}
    proposal: int | None = None
    proposal_t: float | None = None
    set_replicas: int | None = None
    set_t: float | None = None
    pod_change_nearby: bool = False
    history_edge: bool = False

    @property
    def racy(self) -> bool:
        """The recorder cannot say which side of a change or of a window the controller saw."""
        return self.pod_change_nearby or self.history_edge

    @property
    def has_outcome(self) -> bool:
        return {"proposal", "set_replicas"} <= self.model_fields_set

    @property
    def replicas_after(self) -> int | None:
        return self.scale_spec_replicas if self.set_replicas is None else self.set_replicas


class RecordedAction(_Recorded):
    """What was done to the HPA: `hpa-created`, `hpa-deleted`, or `hpa-spec` with a JSON merge patch of the spec."""

    t: float
    action: str
    hpa: str | None = None
    patch: dict[str, Any] = {}


class Trace(_Recorded):
    """One scenario. `hpa_spec` is the spec as the API server returned it, or else as it was submitted.

    `error` says why the scenario did not run as written; `events` are not yet validated.
    """

    name: str
    description: str = ""
    error: str | None = None
    hpa_spec: dict[str, Any] | None = None
    hpa_spec_submitted: dict[str, Any] | None = None
    controller_flags: dict[str, Any] = {}
    events: list[dict[str, Any]]

    def recorded(self, *, source: str) -> Iterator[RecordedSync | RecordedAction]:
        """Syncs and actions in order. Raises UsageError naming `source`, the scenario, the event and the field."""
        for index, event in enumerate(self.events):
            place = f"sync {event['n']}" if "n" in event else f"events[{index}]"
            where = f"{source}: scenario {self.name}, {place}"
            if event.get("kind") == "sync":
                yield validated(RecordedSync, event, where=where, fix=FIX)
            elif event.get("kind") == "action":
                yield validated(RecordedAction, event, where=where, fix=FIX)


def read_traces(document: object, *, source: str) -> list[Trace]:
    """The traces in a parsed JSON document, a list of them or one. Raises UsageError naming the place and the field."""
    entries = document if isinstance(document, list) else [document]
    return [validated(Trace, entry, where=_place(source, index, entry), fix=FIX) for index, entry in enumerate(entries)]


def _place(source: str, index: int, entry: object) -> str:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return f"{source}: scenario {name}" if isinstance(name, str) else f"{source}: trace {index + 1}"
