"""The shape of a catalog file; flyball's own data and a user's (`--catalog`) are read by the same models."""

from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, field_validator

from flyball.catalog.accelerator import Accelerator, Dtype, Interconnect
from flyball.catalog.machine import Cloud
from flyball.errors import UsageError
from flyball.units import GIB

USER_SOURCE = "your catalog file"
_PCIE_4_X16_GB_PER_S = 31.5  # one direction; what a row has unless it says otherwise


class Row(BaseModel):
    """Any row: where it comes from and when that was true."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    source: str = USER_SOURCE
    as_of: date | None = None
    note: str = ""


class AcceleratorRow(Row):
    """A chip, in the units of data sheets."""

    name: str
    aliases: tuple[str, ...] = ()
    device_name: str = ""
    memory_gib: PositiveFloat
    nominal_memory_gib: PositiveFloat
    bandwidth_gb_per_s: PositiveFloat
    tflops: dict[Dtype, PositiveFloat] = Field(min_length=1)
    compute_capability: str = Field(pattern=r"^\d+\.\d$")
    interconnect: Literal["nvlink", "nvlink-bridge", "pcie"] = "pcie"
    interconnect_gb_per_s: PositiveFloat = _PCIE_4_X16_GB_PER_S

    @field_validator("tflops")
    @classmethod
    def _has_half_precision(cls, rates: dict[Dtype, float]) -> dict[Dtype, float]:
        if not {"fp16", "bf16"} & rates.keys():
            raise ValueError("needs fp16 or bf16, which attention is computed in")
        return rates

    def accelerator(self) -> Accelerator:
        major, minor = self.compute_capability.split(".")
        return Accelerator(
            name=self.name,
            aliases=self.aliases,
            device_name=self.device_name or f"NVIDIA {self.name}",
            memory_bytes=int(self.memory_gib * GIB),
            nominal_memory_bytes=int(self.nominal_memory_gib * GIB),
            memory_bandwidth_bytes_per_s=self.bandwidth_gb_per_s * 1e9,
            dense_flops_per_s={dtype: rate * 1e12 for dtype, rate in self.tflops.items()},
            compute_capability=(int(major), int(minor)),
            interconnect=Interconnect(kind=self.interconnect, bytes_per_s=self.interconnect_gb_per_s * 1e9),
            source=self.source,
            as_of=self.as_of,
            note=self.note,
        )


class CloudRow(Row):
    """A provider."""

    name: str
    spot_notice_s: PositiveFloat | None = None
    pod_notice_s: PositiveFloat | None = None
    gpu_label: str | None = None
    spot_labels: dict[str, str] = {}

    def cloud(self) -> Cloud:
        return Cloud(
            name=self.name,
            spot_notice_s=self.spot_notice_s,
            pod_notice_s=self.pod_notice_s,
            gpu_label=self.gpu_label,
            spot_labels=self.spot_labels,
            source=self.source,
            as_of=self.as_of,
            note=self.note,
        )


class PriceRow(Row):
    """What a machine costs in one capacity type."""

    usd_per_hour: PositiveFloat
    region: str | None = None
    """Where not the machine's."""


class MachineRow(Row):
    """A machine and its prices."""

    cloud: str = "none"
    name: str
    accelerator: str
    count: PositiveInt = 1
    vcpus: PositiveInt | None = None
    memory_gib: PositiveFloat | None = None
    region: str = ""
    gpu_label: str | None = None
    labels: dict[str, str] = {}
    """Further node labels, for machines of one's own."""
    on_demand: PriceRow | None = None
    spot: PriceRow | None = None


class CatalogFile(BaseModel):
    """A user's file; each row is merged over flyball's row of the same name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accelerators: tuple[dict[str, Any], ...] = ()
    clouds: tuple[dict[str, Any], ...] = ()
    machines: tuple[dict[str, Any], ...] = ()


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], value: Mapping[str, Any], *, where: str) -> Model:
    """`value` as `model`; UsageError that names the first wrong key below `where`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
    # A misspelt key makes the right one missing: of the two, the misspelling is what the user has to see.
    detail = next((each for each in mistakes if each["type"] == "extra_forbidden"), mistakes[0])
    if not detail["loc"]:
        raise UsageError(
            f"catalog file: {where or 'it'} must be a mapping of keys",
            fix=f"known keys: {', '.join(model.model_fields)}",
        )
    *parents, last = detail["loc"]
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in (*parents, last))
    path = (where + "".join(parts)).lstrip(".")
    if detail["type"] == "extra_forbidden":
        known = tuple((PriceRow if parents else model).model_fields)
        close = get_close_matches(str(last), known, n=1)
        fix = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
        raise UsageError(f"catalog file: {path}: unknown key", fix=fix)
    message = detail["msg"].removeprefix("Value error, ").replace("Input s", "s").replace("Field", "this key is")
    raise UsageError(f"catalog file: {path}: {message}", fix="`flyball catalog -o json` shows complete rows")
