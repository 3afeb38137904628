"""The release data against a real server of one release, and what is refused about the others."""

import re
from pathlib import Path

import pytest

from flyball.catalog import RELEASES, EngineFlag, advisories, release
from flyball.catalog.advisory import SAFE_RELEASE
from flyball.catalog.package_data import package_data
from flyball.catalog.release import spelling
from flyball.errors import UsageError
from flyball.units import GIB

DATA = Path(__file__).parent / "data"
PLATFORM_CHOICES = {"mm_processor_device"}  # it offers the device that the help was asked on, a CPU


def help_options() -> dict[str, tuple[str, str]]:
    """{option: (everything in front of its description, default as printed)} of the captured `--help=all`."""
    options: dict[str, tuple[str, str]] = {}
    for block in re.split(r"\n(?=  -)", (DATA / "vllm-0.32.0-help.txt").read_text()):
        head = re.split(r" {2,}", block.strip())[0].split("\n")[0]
        default = re.search(r"\(default: (.*)\)", block)
        for option in re.findall(r"(?:^|, )(-[\w-]+)", head):
            options[option] = (head, default[1] if default else "")
    return options


def metric_samples() -> list[tuple[str, dict[str, str]]]:
    """(sample name, labels) of the captured `/metrics`."""
    lines = (DATA / "vllm-0.32.0-metrics.txt").read_text().splitlines()
    samples = (re.fullmatch(r"(vllm:\w+)\{(.*)\} \S+", line) for line in lines)
    return [(found[1], dict(re.findall(r'(\w+)="([^"]*)"', found[2]))) for found in samples if found]


def test_known_releases_are_those_with_data() -> None:
    """RELEASES names exactly the releases of the data file, oldest first, and each can be built."""
    assert tuple(package_data("vllm-releases.json")["releases"]) == RELEASES
    for version in RELEASES:
        assert release(version).version == version


def test_flags_are_those_of_the_real_help() -> None:
    """For 0.32.0 every option of `--help=all` is known, and none besides."""
    ours = {option for flag in release("0.32.0").flags.values() if not flag.positional for option in flag.options}
    theirs = set(help_options()) - {"-h", "--help"}
    assert len(theirs) > 300
    assert {spelling(option) for option in ours} == {spelling(option) for option in theirs}


def test_choices_and_defaults_are_those_of_the_real_help() -> None:
    """For 0.32.0 closed choices and plain defaults are what `--help=all` prints."""
    compared = 0
    for option, (head, default) in help_options().items():
        flag = release("0.32.0").find_flag(option)
        if flag is None or flag.name in PLATFORM_CHOICES:
            continue
        if flag.choices:
            compared += 1
            printed = set(re.findall(r"\{([^}]*)\}", head)[0].split(",")) - {"None"}  # the default, not a choice
            assert printed == set(flag.choices), option
        if flag.default is not None:
            assert str(flag.default) == default, option
    assert compared > 20


def test_booleans_are_those_that_take_no_value() -> None:
    """For 0.32.0 the help shows a placeholder exactly for the options that are not boolean."""
    for option, (head, _) in help_options().items():
        flag = release("0.32.0").find_flag(option)
        if flag is not None:
            takes_value = re.search(rf"{re.escape(option)} [A-Z{{\[]", head) is not None
            assert takes_value == (flag.kind != "boolean"), option


def test_metrics_are_those_of_a_real_server() -> None:
    """For 0.32.0 the families without an optional feature are exactly what a real server exports, with their types."""
    text = (DATA / "vllm-0.32.0-metrics.txt").read_text()
    theirs = dict(re.findall(r"# TYPE (\S+) (\w+)", text))
    ours = {metric.name: metric.type for metric in release("0.32.0").metrics.values() if not metric.optional}
    assert ours == theirs


def test_labels_and_buckets_are_those_of_a_real_server() -> None:
    """For 0.32.0 each sample of a real server has the labels, closed label values and bounds that the data says."""
    for name, labels in metric_samples():
        metric = release("0.32.0").metric(name)
        assert metric.labels is not None
        assert set(labels) - {"le"} == set(metric.labels), name
        for label, values in metric.label_values.items():
            assert labels[label] in values
        if "le" in labels and metric.buckets is not None and labels["le"] != "+Inf":
            assert float(labels["le"]) in metric.buckets


def test_find_flag_takes_every_spelling() -> None:
    """A flag is found under its name, option, alias and negation, and in the dotted form for its parts."""
    for spelled in ("max_num_seqs", "--max-num-seqs", "--max_num_seqs", "max-num-seqs"):
        assert release("0.30.0").has_flag(spelled)
    assert named(release("0.33.0").find_flag("-tp")) == "tensor_parallel_size"
    assert named(release("0.33.0").find_flag("--no-enable-lora")) == "enable_lora"
    assert named(release("0.33.0").find_flag("--disable-prefix-caching")) == "enable_prefix_caching"
    assert named(release("0.33.0").find_flag("--compilation-config.mode")) == "compilation_config"
    assert not release("0.33.0").has_flag("--swap-space")


def named(flag: EngineFlag | None) -> str:
    return flag.name if flag else ""


def test_check_args_accepts_what_vllm_accepts() -> None:
    """Numbers, their texts, structures, lists and None pass."""
    release("0.33.0").check_args(
        {
            "max_num_seqs": 64, "max_model_len": "auto", "max_num_batched_tokens": "8k", "enforce_eager": True,
            "gpu_memory_utilization": 1, "kv_cache_dtype": "fp8", "served_model_name": ["a", "b"],
            "compilation_config": {"mode": 3}, "revision": None,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("version", "args", "what", "fix"),
    [
        ("0.28.0", {"max_num_queued_reqs": 8}, "engine.max_num_queued_reqs: vLLM 0.28.0", "0.29.0 to 0.33.0 have it"),
        ("0.33.0", {"max_num_activ_seqs": 8}, "max_num_activ_seqs", "did you mean max_num_active_seqs?"),
        ("0.33.0", {"enable_bf16x3_router_gemm": True}, "no flag", "0.26.0 to 0.29.0 have it"),
        ("0.33.0", {"tp": 2}, "engine.tp", "write tensor_parallel_size"),
        ("0.33.0", {"zzz": 2}, "engine.zzz", "leave it out"),
        ("0.33.0", {"dtype": "fp8"}, "'fp8' is not what vLLM 0.33.0 takes for --dtype", "one of auto, bfloat16"),
        ("0.33.0", {"max_num_seqs": True}, "engine.max_num_seqs: True", "an integer"),
        ("0.33.0", {"max_num_seqs": 1.5}, "1.5", "an integer"),
        ("0.33.0", {"enforce_eager": "yes"}, "'yes'", "true or false"),
        ("0.33.0", {"kv_transfer_config": 7}, "7", "a mapping or a list"),
    ],
)
def test_check_args_names_the_flag_and_the_way_out(version: str, args: dict[str, object], what: str, fix: str) -> None:
    """A flag that the version lacks, or a value that it refuses, is named with what to write instead."""
    with pytest.raises(UsageError) as refusal:
        release(version).check_args(args)
    assert what in refusal.value.what
    assert fix in refusal.value.fix


def test_unknown_release_is_refused_with_the_known_ones() -> None:
    """A version without data is an error that lists the versions with data; a leading v is fine."""
    assert release("v0.32.0") is release("0.32.0")
    with pytest.raises(UsageError) as refusal:
        release("0.11.0")
    assert "0.33.0" in refusal.value.fix


def test_metric_names_reach_their_family() -> None:
    """Samples of a histogram lead to it; a counter has no such samples; near misses and renames are named."""
    known = release("0.32.0")
    assert known.metric("vllm:time_to_first_token_seconds_bucket").name == "vllm:time_to_first_token_seconds"
    assert known.metric("vllm:iteration_tokens_total_count").type == "histogram"
    assert known.find_metric("vllm:num_preemptions_total_sum") is None
    with pytest.raises(UsageError, match=r"0\.28\.0") as refusal:
        release("0.28.0").metric("vllm:request_num_preemptions")
    assert "0.30.0 to 0.33.0 have it" in refusal.value.fix
    with pytest.raises(UsageError) as refusal:
        known.metric("vllm:gpu_cache_usage_perc")
    assert "vllm:kv_cache_usage_perc" in refusal.value.fix


def test_requires_metric_checks_labels() -> None:
    """A label that the metric lacks is refused with those it has."""
    known = release("0.32.0")
    assert known.requires_metric("vllm:request_success_total", ["model_name", "finished_reason"]).labels
    assert known.requires_metric("vllm:time_to_first_token_seconds_bucket", ["le", "engine"]).buckets
    with pytest.raises(UsageError) as refusal:
        known.requires_metric("vllm:admission_rejections_total", ["engine"])
    assert "model_name, reason" in refusal.value.fix


@pytest.mark.parametrize(
    ("version", "name", "memory_gib", "tokens", "sequences"),
    [
        ("0.33.0", "NVIDIA B200", 179, 16384, 1024),
        ("0.27.1", "NVIDIA B200", 179, 8192, 1024),
        ("0.33.0", "NVIDIA H200", 139, 8192, 1024),
        ("0.33.0", "NVIDIA A100-SXM4-80GB", 79, 2048, 256),
        ("0.33.0", "NVIDIA A10G", 22, 2048, 256),
    ],
)
def test_batch_defaults_follow_memory_and_device(
    version: str, name: str, memory_gib: int, tokens: int, sequences: int
) -> None:
    """Large from 70 GiB but not on an A100, largest from 160 GiB since 0.28: the tiers of `get_batch_defaults`."""
    limits = release(version).batch_defaults(memory_bytes=memory_gib * GIB, device_name=name)
    assert (limits.max_num_batched_tokens, limits.max_num_seqs) == (tokens, sequences)


def test_planning_defaults() -> None:
    """All known releases take 0.92 of the memory, blocks of 16 tokens, and subtract CUDA graphs."""
    for version in RELEASES:
        known = release(version)
        assert known.gpu_memory_utilization == known.flags["gpu_memory_utilization"].default == 0.92
        assert known.block_size == 16
        assert known.estimates_cuda_graph_memory


def test_advisories_apply_before_their_fix() -> None:
    """An advisory applies from its first affected release to before its fix; the safe release has none."""
    assert not advisories(SAFE_RELEASE)
    assert {advisory.id for advisory in advisories("0.32.0")} == {"GHSA-5r3c-5x4v-8gjh"}
    hard_coded_trust = "CVE-2026-27893"
    assert hard_coded_trust in {advisory.id for advisory in advisories("v0.17.1")}
    assert hard_coded_trust not in {advisory.id for advisory in advisories("0.10.0")}
    with pytest.raises(ValueError, match="latest"):
        advisories("latest")
