"""Alerts about the GPUs that the replicas hold, from the DCGM exporter."""

from functools import reduce

from flyball.manifests.promql import Vector, absent, highest, increase, total
from flyball.manifests.rules import Alert, Group
from flyball.manifests.series import Series

FATAL_XIDS = (48, 63, 64, 74, 79, 92, 94, 95, 119)
"""Of the hardware: 48 and 95 double-bit and uncontained ECC, 63 and 64 a row remapped or not, 74 NVLink, 79 fallen off
the bus, 92 many single-bit errors, 94 contained ECC, 119 GSP timeout (NVIDIA, XID Errors). 13, 31, 43 and 45 are the
application's doing."""
_WHERE = ("exported_pod", "gpu", "Hostname")


def gpu_alerts(series: Series) -> Group:
    replace = (
        "kubectl cordon the node, then delete the replica's pod: it moves, and nothing else lands on the GPU.",
        "nvidia-smi -q on the node; reset the GPU or replace the machine. A container's restart repairs nothing.",
    )
    alerts = (
        Alert(
            name="GpuXidError",
            query=highest(_fatal(series), *_WHERE),
            wait="0m",
            severity="critical",
            summary="GPU {{ $labels.gpu }} of {{ $labels.Hostname }} ({{ $labels.exported_pod }}): XID {{ $value }}",
            meaning="The driver reported an error of the hardware. The metric holds the last code until the driver is"
            " loaded again; the device plugin keeps new pods away and leaves the running one where it is.",
            runbook=replace,
        ),
        Alert(
            name="GpuRowRemapFailed",
            query=highest(series.gpus("DCGM_FI_DEV_ROW_REMAP_FAILURE"), *_WHERE).is_above(0),
            wait="0m",
            severity="critical",
            summary="GPU {{ $labels.gpu }} of {{ $labels.Hostname }} has no spare rows left",
            meaning="A broken row of the memory could not be replaced. Results may be wrong from now on.",
            runbook=replace,
        ),
        Alert(
            name="GpuRowsRemapped",
            query=total(increase(series.gpus("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"), "1h"), *_WHERE).is_above(0),
            wait="0m",
            severity="warning",
            summary="GPU {{ $labels.gpu }} of {{ $labels.Hostname }} replaced a row of its memory",
            meaning="An uncorrectable error; the spare row is used after the next reset of the GPU.",
            runbook=("Drain the node at the next opportunity and reset the GPU.", "Again within weeks: replace it."),
        ),
        Alert(
            name="GpuMetricsMissing",
            query=absent(series.gpus("DCGM_FI_PROF_DRAM_ACTIVE")).where(_some_ready(series), on=()),
            wait="15m",
            severity="warning",
            summary="There are no GPU metrics of the replicas: the other GPU alerts cannot fire",
            meaning="Replicas are ready, and the DCGM exporter shows nothing of their GPUs.",
            runbook=(
                "Does the exporter run on the GPU nodes (tolerations), and does Prometheus scrape it?",
                "Profiling fields need the capability SYS_ADMIN; another profiler on the node takes them away.",
                "Labels: the queries ask for exported_pod, which honorLabels: true would turn into pod.",
            ),
        ),
    )
    return Group(name=f"{series.name}-gpu-alerts", rules=alerts)


def _fatal(series: Series) -> Vector:
    last = series.gpus("DCGM_FI_DEV_XID_ERRORS")
    return reduce(Vector.or_, (last.equals(code) for code in FATAL_XIDS))


def _some_ready(series: Series) -> Vector:
    return series.deployments("kube_deployment_status_replicas_ready").is_above(0)
