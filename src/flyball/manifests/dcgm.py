"""Settings of the DCGM exporter: which fields it exports, and under which labels the queries find them.

The exporter belongs to the cluster, not to the service, so these are Helm values for whoever owns it.
"""

from typing import Any, Literal

from flyball.manifests.manifest import Because

FIELDS: tuple[tuple[str, str, str], ...] = (
    ("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz)."),
    ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C)."),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W)."),
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %): time with any kernel. Never scale on it."),
    ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB)."),
    ("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB)."),
    ("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered."),
    ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries."),
    ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for uncorrectable errors."),
    ("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for correctable errors."),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed."),
    ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Ratio of time the graphics engine is active."),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Ratio of cycles the tensor pipe is active."),
    ("DCGM_FI_PROF_DRAM_ACTIVE", "gauge", "Ratio of cycles the device memory interface is active."),
    ("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "Bytes per second sent over PCIe."),
    ("DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "Bytes per second received over PCIe."),
)
"""Of the exporter's default counters those that say something about serving."""
ADDED_FIELDS: tuple[tuple[str, str, str], ...] = (
    ("DCGM_FI_PROF_SM_ACTIVE", "gauge", "Ratio of cycles an SM has at least 1 warp assigned."),
    ("DCGM_FI_PROF_SM_OCCUPANCY", "gauge", "Ratio of the warps resident on an SM."),
    ("DCGM_FI_DEV_POWER_VIOLATION", "counter", "Throttling duration due to power constraints (in us)."),
    ("DCGM_FI_DEV_THERMAL_VIOLATION", "counter", "Throttling duration due to thermal constraints (in us)."),
    ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "counter", "Total number of double-bit volatile ECC errors."),
    ("DCGM_EXP_XID_ERRORS_COUNT", "gauge", "Count of XID errors by code within the exporter's window."),
)
"""Off by default: why a GPU is slow (throttled, its SMs empty), and counts of XIDs where the default has the last."""
_LABEL = ("DCGM_FI_DRIVER_VERSION", "label", "Driver version.")


def counters_csv() -> str:
    """The exporter's counter file. It replaces the default list; it does not add to it."""
    lines = [", ".join(field) for field in (*FIELDS, *ADDED_FIELDS, _LABEL)]
    return "# DCGM field, Prometheus metric type, help\n" + "\n".join(lines) + "\n"


def dcgm_exporter_values(
    chart: Literal["gpu-operator", "dcgm-exporter"], *, monitor_labels: dict[str, str]
) -> dict[str, Any]:
    """Helm values. Two exporters on a node get in each other's way: use the operator's where there is an operator."""
    monitor = {
        "enabled": True,
        "interval": "15s",
        "honorLabels": Because(
            False,
            "The exporter's own pod keeps `pod` and `namespace`; the GPU's user is in exported_pod, exported_namespace"
            " and exported_container, which the queries ask for.",
        ),
        "additionalLabels": monitor_labels,
    }
    counters = Because(
        counters_csv(),
        "The whole list, not an addition. Above the defaults: throttling, SM activity, double-bit errors and counts of"
        " XIDs by code (DCGM_FI_DEV_XID_ERRORS holds only the last code).",
    )
    if chart == "gpu-operator":
        config = {"name": "dcgm-exporter-counters", "create": True, "data": counters}
        return {"dcgmExporter": {"enabled": True, "serviceMonitor": monitor, "config": config}}
    return {
        "serviceMonitor": monitor,
        "securityContext": {
            "runAsNonRoot": False,
            "runAsUser": 0,
            "capabilities": {
                "add": Because(["SYS_ADMIN"], "DCGM_FI_PROF_* need it; without it they are missing, silently.")
            },
        },
        "tolerations": Because(
            [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "The chart tolerates no GPU taint by itself.",
        ),
        "customMetrics": counters,
    }
