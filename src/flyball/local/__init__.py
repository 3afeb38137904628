"""A spec's fleet on this machine: real engines behind a real gateway, scaled by the HPA law."""

from flyball.local.service import Service, serving
from flyball.local.timeline import FleetEvent, FleetSample, ReplicaSample, Sync, Timeline

__all__ = ["FleetEvent", "FleetSample", "ReplicaSample", "Service", "Sync", "Timeline", "serving"]
