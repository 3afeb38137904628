"""What is known before anything runs: vLLM releases, accelerators, machines and their prices, each with its source.

Pure data and validation. The only I/O is reading the package's own data files, once; a user's own prices and machines
come in as a parsed mapping.
"""

from flyball.catalog.accelerator import Accelerator, Dtype, Interconnect
from flyball.catalog.advisory import SAFE_RELEASE, Advisory, advisories
from flyball.catalog.catalog import Catalog, load_catalog
from flyball.catalog.machine import CapacityType, Cloud, InstanceType, Offering
from flyball.catalog.release import (
    DEFAULT_RELEASE,
    RELEASES,
    BatchDefaults,
    EngineFlag,
    EngineMetric,
    EngineRelease,
    release,
)

__all__ = [
    "DEFAULT_RELEASE",
    "RELEASES",
    "SAFE_RELEASE",
    "Accelerator",
    "Advisory",
    "BatchDefaults",
    "CapacityType",
    "Catalog",
    "Cloud",
    "Dtype",
    "EngineFlag",
    "EngineMetric",
    "EngineRelease",
    "InstanceType",
    "Interconnect",
    "Offering",
    "advisories",
    "load_catalog",
    "release",
]
