"""The accelerator rows: complete, plausible, and findable under the names that people use."""

import pytest

from flyball.catalog import Accelerator, Dtype, load_catalog
from flyball.errors import UsageError
from flyball.units import GIB

ACCELERATORS = load_catalog().accelerators


@pytest.mark.parametrize("chip", ACCELERATORS, ids=lambda chip: chip.name)
def test_rows_are_sourced_and_physically_plausible(chip: Accelerator) -> None:
    """Every row says where it is from; CUDA sees a little less than the nominal memory; narrower dtypes are faster."""
    assert chip.source
    assert chip.as_of is not None
    assert 0.9 * chip.nominal_memory_bytes < chip.memory_bytes < chip.nominal_memory_bytes
    rates = chip.dense_flops_per_s
    assert rates["fp16"] == rates.get("bf16", rates["fp16"])
    pairs: tuple[tuple[Dtype, Dtype], ...] = (("fp16", "fp8"), ("fp8", "fp4"), ("fp16", "int8"))
    for slower, faster in pairs:
        if faster in rates:
            assert 1.9 < rates[faster] / rates[slower] < 4.1
    # A sparse rate is twice the dense one; dense, the chips lie between 117 (A10G) and 419 (L40S) operations a byte.
    assert 100 < rates["fp16"] / chip.memory_bandwidth_bytes_per_s < 450


@pytest.mark.parametrize("chip", ACCELERATORS, ids=lambda chip: chip.name)
def test_number_formats_follow_the_architecture(chip: Accelerator) -> None:
    """bf16 from capability 8.0, fp8 from 8.9, fp4 from 10.0, as in CUDA's table of features."""
    assert ("bf16" in chip.dense_flops_per_s) == (chip.compute_capability >= (8, 0))
    assert chip.supports_fp8 == (chip.compute_capability >= (8, 9))
    assert chip.supports_fp4 == (chip.compute_capability >= (10, 0))


def test_links_are_what_the_kind_allows() -> None:
    """NVLink is faster than any PCIe, and PCIe 3 to 5 with 16 lanes has 15.75, 31.5 or 63 GB/s a direction."""
    for chip in ACCELERATORS:
        rate = chip.interconnect.bytes_per_s
        assert rate in (15.75e9, 31.5e9, 63e9) if chip.interconnect.kind == "pcie" else rate >= 300e9


def test_names_are_unique_in_any_spelling() -> None:
    """No alias or device name leads to two chips."""
    catalog = load_catalog()
    for chip in catalog.accelerators:
        for name in (chip.name, chip.device_name, *chip.aliases):
            assert catalog.accelerator(name) is chip


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("h100", "H100"),
        ("H100-SXM5", "H100"),
        ("NVIDIA H200", "H200"),
        ("a100-80gb", "A100-80GB"),
        ("rtx 4090", "RTX-4090"),
        ("RTX-PRO-6000", "RTX-PRO-6000"),
        ("nvidia-l4", "L4"),
        ("h100-pcie", "H100-PCIe"),
    ],
)
def test_lookup_forgives_spelling(given: str, name: str) -> None:
    """Case, dashes, spaces and the maker's name do not count."""
    assert load_catalog().accelerator(given).name == name


def test_measured_memory() -> None:
    """The H200 and the RTX 4090 have the memory that real boots reported (139.8 GiB; 25,250,627,584 bytes)."""
    catalog = load_catalog()
    assert catalog.accelerator("H200").memory_bytes == pytest.approx(139.8 * GIB, rel=1e-3)
    assert catalog.accelerator("RTX-4090").memory_bytes == pytest.approx(25_250_627_584, rel=1e-5)


@pytest.mark.parametrize(("given", "hint"), [("A100", "A100-40GB or A100-80GB"), ("H300", "H100"), ("", "known: T4")])
def test_unknown_accelerator_names_the_nearest(given: str, hint: str) -> None:
    """An ambiguous or unknown name is refused with those it may have meant."""
    with pytest.raises(UsageError) as refusal:
        load_catalog().accelerator(given)
    assert hint in refusal.value.fix
