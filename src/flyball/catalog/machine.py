"""Machines that have accelerators, the clouds that rent them, and what they ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

CapacityType = Literal["on-demand", "spot"]
"""As Karpenter says: a machine that stays, or one that the cloud may take back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """What holds for every machine of a provider."""

    name: str
    spot_notice_s: float | None = None
    """From the notice to the machine's end; None where there is no spot."""
    pod_notice_s: float | None = None
    """What of it a pod gets on the cloud's own Kubernetes: the most that draining may take."""
    gpu_label: str | None = None
    """The node label that names the accelerator."""
    spot_labels: Mapping[str, str]
    """The labels of a reclaimable node."""
    source: str
    as_of: date | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """One size of machine."""

    cloud: Cloud
    name: str
    accelerator: str
    """A name in the catalog's accelerators."""
    accelerator_count: int
    vcpus: int | None
    memory_bytes: int | None
    """Of the host; None where the provider does not say."""
    node_labels: Mapping[str, str]
    """What a node selector can ask for to get this machine; empty outside Kubernetes clouds."""
    source: str
    as_of: date | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """A machine at a price."""

    instance_type: InstanceType
    capacity_type: CapacityType
    region: str
    price_usd_per_hour: float
    """For the whole machine, without disks and traffic."""
    source: str
    as_of: date | None
    note: str = ""

    @property
    def price_usd_per_accelerator_hour(self) -> float:
        return self.price_usd_per_hour / self.instance_type.accelerator_count
