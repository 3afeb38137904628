"""One JSON object a line for every request, health probes excepted. Prompts, answers and keys are not in it."""

FIELDS = {
    "start_time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "duration_ms": "%DURATION%",
    "request_ms": "%REQUEST_DURATION%",
    "first_byte_ms": "%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:ms)%",
    "upstream_headers_ms": "%RESPONSE_DURATION%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "upstream_host": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
}
"""Durations count from the request's first byte: to its last (request_ms), to the replica's headers, which vLLM sends
before it has begun (upstream_headers_ms), to the first byte that the client was sent (first_byte_ms, the TTFT), and to
the last (duration_ms). attempts is one more than the retries."""


def access_log(path: str) -> list[dict[str, object]]:
    """The connection manager's `access_log`."""
    return [
        {
            "name": "envoy.access_loggers.file",
            "filter": {"not_health_check_filter": {}},
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": path,
                "log_format": {"json_format": FIELDS},
            },
        }
    ]
