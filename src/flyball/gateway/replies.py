"""What the gateway itself answers, in the shape of vLLM's and OpenAI's errors. Replicas' own answers pass unchanged."""

ENVOYS_OWN_WORDS = "%LOCAL_REPLY_BODY%"
SOON = {"retry-after": "1"}


def local_replies(*, max_pending: int, max_body_bytes: int, api_key: str | None) -> dict[str, object]:
    """The connection manager's `local_reply_config`: the first mapper whose filter matches makes the answer."""
    key_check = [] if api_key is None else [_wrong_key(api_key)]
    return {
        "mappers": [
            *key_check,
            _mapper(_status(403), "protocol upgrades are not admitted", "ForbiddenError"),
            _mapper(_status(404), "the gateway serves /v1/* and /health, nothing else", "NotFoundError"),
            _mapper(_status(413), f"the request body is larger than {max_body_bytes} bytes", "RequestTooLargeError"),
            _mapper(
                _flag("UO"),  # upstream overflow: a circuit breaker
                f"too many requests in the system (gateway.max_pending is {max_pending})",
                "OverloadedError",
                headers=SOON,
            ),
            # UH: no upstream that is healthy. LH: /health, in the health filter's words.
            _mapper(_flag("UH", "LH"), "no replica is ready", "ServiceUnavailableError", headers=SOON),
            _mapper(_status(504), "no byte within gateway.idle_timeout", "TimeoutError"),
            _mapper(
                {"and_filter": {"filters": [_status(502, "GE"), _flag()]}},  # with any flag, which tell of upstreams
                "the replica failed before its answer began",
                "ServiceUnavailableError",
            ),
            # The overload manager sets no flag.
            _mapper(_status(503), "the gateway's memory is full of requests", "OverloadedError", headers=SOON),
            _mapper(_status(400, "GE"), ENVOYS_OWN_WORDS, "GatewayError"),
        ]
    }


def _wrong_key(key: str) -> dict[str, object]:
    # The key check answers 403, which is for those who are known. A refused upgrade is 403 too, hence the header.
    wrong = {
        "name": "authorization",
        "string_match": {"exact": f"Bearer {key}"},
        "treat_missing_header_as_empty": True,
        "invert_match": True,
    }
    return {
        **_mapper(
            {"and_filter": {"filters": [_status(403), {"header_filter": {"header": wrong}}]}},
            "the API key is missing or wrong: send the header 'Authorization: Bearer KEY'",
            "AuthenticationError",
            headers={"www-authenticate": "Bearer"},
        ),
        "status_code": 401,
    }


def _mapper(
    matching: dict[str, object], message: str, type_: str, *, headers: dict[str, str] | None = None
) -> dict[str, object]:
    error = {"message": message, "type": type_, "param": None, "code": "%RESPONSE_CODE%"}
    added = [{"header": {"key": key, "value": value}} for key, value in (headers or {}).items()]
    return {
        "filter": matching,
        "body_format_override": {"json_format": {"error": error}},
        **({"headers_to_add": added} if added else {}),
    }


def _flag(*flags: str) -> dict[str, object]:
    return {"response_flag_filter": {"flags": list(flags)}}


def _status(code: int, operator: str = "EQ") -> dict[str, object]:
    # Envoy insists on a key by which the value could be changed at run time; nothing sets it.
    comparison = {"op": operator, "value": {"default_value": code, "runtime_key": f"flyball.status_{code}"}}
    return {"status_code_filter": {"comparison": comparison}}
