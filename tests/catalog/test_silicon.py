"""Data sheet figures against the silicon: no sparse rate, bidirectional link or bits for bytes can pass for them."""

from typing import NamedTuple

import pytest

from flyball.catalog import Accelerator, Dtype, load_catalog


class Silicon(NamedTuple):
    """What the architecture papers say of the chip itself."""

    multiprocessors: int
    fp16_flops_per_cycle: int
    """Dense, of one multiprocessor's tensor cores with fp32 accumulation."""
    boost_ghz: float
    bus_bits: int
    gbit_per_s_and_pin: float


# NVIDIA's papers on Turing, Ampere (GA100, GA102), Ada, Hopper and Blackwell. GeForce and A10G halve fp32 accumulation.
# Boards below their chip's boost clock (L4, H100 PCIe and NVL) have the clock that their tensor rates are printed for.
SILICON = {
    "T4": Silicon(40, 1024, 1.59, 256, 10.0),
    "A10G": Silicon(80, 512, 1.71, 384, 12.5),
    "L4": Silicon(58, 1024, 2.04, 192, 12.5),
    "L40S": Silicon(142, 1024, 2.52, 384, 18.0),
    "A100-40GB": Silicon(108, 2048, 1.41, 5120, 2.43),
    "A100-80GB": Silicon(108, 2048, 1.41, 5120, 3.186),
    "A100-80GB-PCIe": Silicon(108, 2048, 1.41, 5120, 3.024),
    "H100": Silicon(132, 4096, 1.83, 5120, 5.234),
    "H100-PCIe": Silicon(114, 4096, 1.62, 5120, 3.186),
    "H100-NVL": Silicon(132, 4096, 1.545, 6144, 5.1),
    "H200": Silicon(132, 4096, 1.83, 6144, 6.25),
    "B200": Silicon(148, 8192, 1.86, 8192, 8.0),
    "RTX-PRO-6000": Silicon(188, 1024, 2.49, 512, 25.0),
    "RTX-4090": Silicon(128, 512, 2.52, 384, 21.0),
    "RTX-5090": Silicon(170, 512, 2.41, 512, 28.0),
}
# Times the rate of fp16, dense. GeForce counts int8 in full and, since Blackwell, fp4 as well.
FASTER: dict[Dtype, set[float]] = {"bf16": {1}, "fp8": {2}, "fp4": {4, 8}, "int8": {2, 4}}
CHIPS = load_catalog().accelerators


def test_every_chip_is_checked() -> None:
    """A new row needs its silicon here."""
    assert {chip.name for chip in CHIPS} == set(SILICON)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_rates_are_dense(chip: Accelerator) -> None:
    """Multiprocessors times operations times clock; the double, which is the sparse rate, is far off."""
    silicon = SILICON[chip.name]
    dense = silicon.multiprocessors * silicon.fp16_flops_per_cycle * silicon.boost_ghz * 1e9
    assert chip.dense_flops_per_s["fp16"] == pytest.approx(dense, rel=0.02)
    for dtype, factors in FASTER.items():
        if dtype in chip.dense_flops_per_s:
            factor = chip.dense_flops_per_s[dtype] / chip.dense_flops_per_s["fp16"]
            assert any(factor == pytest.approx(each, rel=0.02) for each in factors), dtype


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_bandwidth_is_in_bytes(chip: Accelerator) -> None:
    """Pins times their rate over eight."""
    silicon = SILICON[chip.name]
    wanted = silicon.bus_bits * silicon.gbit_per_s_and_pin * 1e9 / 8
    assert chip.memory_bandwidth_bytes_per_s == pytest.approx(wanted, rel=0.03)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_links_are_one_direction(chip: Accelerator) -> None:
    """NVLink 3, 4 and 5 have 300, 450 and 900 GB/s a direction (twice that is what is advertised); a bridge 300."""
    links = {8: 300e9, 9: 450e9, 10: 900e9}
    if chip.interconnect.kind == "nvlink":
        assert chip.interconnect.bytes_per_s == links[chip.compute_capability[0]]
    elif chip.interconnect.kind == "nvlink-bridge":
        assert chip.interconnect.bytes_per_s == 300e9


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_sources_are_documents(chip: Accelerator) -> None:
    """One can open where the figures are from."""
    assert chip.source.startswith("https://")
