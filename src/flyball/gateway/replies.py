"""What the gateway itself answers, in the shape of vLLM's and OpenAI's errors."""

from dataclasses import dataclass

MUTE = "%LOCAL_REPLY_BODY%"  # Envoy's own words


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One of Envoy's own answers, found by status or by response flag, and what the client gets instead."""

    on: int | str
    message: str
    type: str
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


def local_replies(*, max_pending: int, max_body_bytes: int) -> dict[str, object]:
    """The connection manager's `local_reply_config`: the first match answers. Replicas' own answers pass unchanged."""
    soon = (("retry-after", "1"),)
    replies = [
        Reply(
            on=403,  # only the key check answers so
            status=401,
            message="the API key is missing or wrong: send the header 'Authorization: Bearer KEY'",
            type="AuthenticationError",
            headers=(("www-authenticate", "Bearer"),),
        ),
        Reply(on=404, message="the gateway serves /v1/* and /health, nothing else", type="NotFoundError"),
        Reply(
            on=413,
            message=f"the request body is larger than {max_body_bytes} bytes",
            type="RequestEntityTooLargeError",
        ),
        Reply(
            on="UO",  # upstream overflow: a circuit breaker
            message=f"too many requests in the system (gateway.max_pending is {max_pending})",
            type="OverloadedError",
            headers=soon,
        ),
        Reply(on="UH", message="no replica is ready", type="ServiceUnavailableError", headers=soon),
        Reply(on="LH", message="no replica is ready", type="ServiceUnavailableError", headers=soon),
        Reply(on=503, message="the replica failed before its answer began", type="ServiceUnavailableError"),
        Reply(on=502, message="the replica failed before its answer began", type="ServiceUnavailableError"),
        Reply(on=504, message="no byte for gateway.idle_timeout", type="TimeoutError"),
    ]
    return {"mappers": [*map(_mapper, replies), _any_other_error()]}


def _mapper(reply: Reply) -> dict[str, object]:
    mapper: dict[str, object] = {
        "filter": _status(reply.on) if isinstance(reply.on, int) else {"response_flag_filter": {"flags": [reply.on]}}
    }
    if reply.status is not None:
        mapper["status_code"] = reply.status
    if reply.headers:
        mapper["headers_to_add"] = [{"header": {"key": key, "value": value}} for key, value in reply.headers]
    return mapper | _body(reply.message, reply.type)


def _any_other_error() -> dict[str, object]:
    return {"filter": _status(400, "GE")} | _body(MUTE, "GatewayError")


def _status(code: int, operator: str = "EQ") -> dict[str, object]:
    # Envoy insists on a key by which the value could be changed at run time; nothing sets it.
    comparison = {"op": operator, "value": {"default_value": code, "runtime_key": f"flyball.status_{code}"}}
    return {"status_code_filter": {"comparison": comparison}}


def _body(message: str, type_: str) -> dict[str, object]:
    error = {"message": message, "type": type_, "param": None, "code": "%RESPONSE_CODE%"}
    return {"body_format_override": {"json_format": {"error": error}}}
