"""The WebAssembly module that makes a replica's death before its first byte invisible to the client.

vLLM sends the headers of a streaming answer at once and its first event only with the first token. To Envoy's router an
answer whose headers have passed is begun and can no longer be tried elsewhere, so every request that is queued or in
prefill on a replica that dies would fail. The module runs as an *upstream* HTTP filter, between the router and the
replica's connection, and lets the headers through together with the first body byte: until then the router sees an
unanswered request and may retry it. (Envoy's Lua filter cannot do it: reading the body there lets the headers go.)

It also looks at the first bytes. When vLLM's engine process dies, its API server answers what is queued with status 200
and one event, `data: {"error": {..., "code": 500}}`. The module turns the held status into 500, so that this too is
retried, and a client whose retries are used up is told so by the status.

What it does not cover: endpoints that send an event before the first token, which /v1/responses does.

`hold.wat` is the source; MODULE is it, compiled, without its debug names. A test compiles it again and compares.
"""

import base64

MODULE = base64.b64decode(
    "AGFzbQEAAAABJAZgBX9/f39/AX9gAABgAn9/AGABfwF/YAN/f38Bf2ACf38BfwJDAgNlbnYWcHJveHlfZ2V0X2J1ZmZlcl9ieXRlcwAAA2Vudh5w"
    "cm94eV9yZXBsYWNlX2hlYWRlcl9tYXBfdmFsdWUAAAMJCAECAwMEBQQEBQMBAAEHjgEGBm1lbW9yeQIAF3Byb3h5X2FiaV92ZXJzaW9uXzBfMl8x"
    "AAIXcHJveHlfb25fY29udGV4dF9jcmVhdGUAAxhwcm94eV9vbl9tZW1vcnlfYWxsb2NhdGUABBlwcm94eV9vbl9yZXNwb25zZV9oZWFkZXJzAAgW"
    "cHJveHlfb25fcmVzcG9uc2VfYm9keQAJCosCCAIACwIACwYAQYDAAgsPAEGAICAAQf8/cUECdGoLOwEBfyAAIAJqIQMDQCAAIANGBEBBAQ8LIAAt"
    "AAAgAS0AAEcEQEEADwsgAEEBaiEAIAFBAWohAQwACwALSQEBfyABQRhJBEBBAA8LQQAgAEEPEAZFBEBBAA8LIAAgAUEJa2ohAgNAQRAgAEEJEAYE"
    "QEEBDwsgAEEBaiEAIAAgAk0NAAtBAAsVACACBEBBAA8LIAAQBSAANgIAQQELUAAgABAFKAIAIABHBEBBAA8LIAAQBUEANgIAQQFBAEGACEHAAEHE"
    "ABAABEBBAA8LQcAAKAIAQcQAKAIAEAcEQEECQSBBB0EwQQMQARoLQQALCzcEAEEACw9kYXRhOiB7ImVycm9yIjoAQRALCSJjb2RlIjogNQBBIAsH"
    "OnN0YXR1cwBBMAsDNTAw"
)


def hold_filter() -> dict[str, object]:
    """The upstream HTTP filter. It is compiled once per worker; a trap, which the code cannot reach, reloads it."""
    return {
        "name": "hold",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "hold",
                "root_id": "hold",
                "failure_policy": "FAIL_RELOAD",
                # Without it Envoy would stop reading the body as well, and wait for ever.
                "allow_on_headers_stop_iteration": True,
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"inline_bytes": base64.b64encode(MODULE).decode()}},
                },
            },
        },
    }
