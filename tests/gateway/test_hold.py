"""The WebAssembly module itself: that the shipped bytes are its source, and what it decides, run by another runtime."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.gateway import hold

HOLD, GO_ON = 1, 0
SOURCE = Path(hold.__file__).with_suffix(".wat")


def without_names(module: bytes) -> bytes:
    """The module less its custom sections (id 0), which hold the names that its source uses."""
    kept, position = bytearray(module[:8]), 8
    while position < len(module):
        start, section = position, module[position]
        size, shift, position = 0, 0, position + 1
        while True:  # the size, 7 bits a byte
            byte = module[position]
            size, shift, position = size | (byte & 0x7F) << shift, shift + 7, position + 1
            if byte < 0x80:
                break
        position += size
        if section != 0:
            kept += module[start:position]
    return bytes(kept)


class Host:
    """What Envoy is to the module: response bodies to read, a status that it may set."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module) -> None:
        store = wasmtime.Store(engine)
        self.body = b""
        self.status = 200
        i32 = wasmtime.ValType.i32()
        takes_five = wasmtime.FuncType([i32] * 5, [i32])
        imports = [
            wasmtime.Func(store, takes_five, self._get_buffer_bytes),
            wasmtime.Func(store, takes_five, self._replace_header),
        ]
        instance = wasmtime.Instance(store, module, imports)
        self._store, self._exports = store, instance.exports(store)

    def headers(self, context: int, *, end_of_stream: bool) -> int:
        return self._call("proxy_on_response_headers", context, 5, int(end_of_stream))

    def data(self, context: int, body: bytes, *, end_of_stream: bool = False) -> int:
        self.body = body
        return self._call("proxy_on_response_body", context, len(body), int(end_of_stream))

    def _call(self, name: str, *arguments: int) -> int:
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        result: int = function(self._store, *arguments)
        return result

    @property
    def _memory(self) -> wasmtime.Memory:
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        return memory

    def _get_buffer_bytes(self, buffer: int, start: int, limit: int, pointer: int, size: int) -> int:
        assert (buffer, start) == (1, 0)  # the response body, from its beginning
        data = self.body[:limit]
        if not data:
            return 2  # the ABI's "bad argument"
        at = self._call("proxy_on_memory_allocate", len(data))
        self._memory.write(self._store, data, at)
        self._memory.write(self._store, at.to_bytes(4, "little"), pointer)
        self._memory.write(self._store, len(data).to_bytes(4, "little"), size)
        return 0

    def _replace_header(self, kind: int, name: int, name_size: int, value: int, value_size: int) -> int:
        assert kind == 2  # response headers
        assert self._memory.read(self._store, name, name + name_size) == b":status"
        self.status = int(self._memory.read(self._store, value, value + value_size))
        return 0


NewHost = Callable[[], Host]


@pytest.fixture(scope="module")
def new_host() -> NewHost:
    engine = wasmtime.Engine()
    module = wasmtime.Module(engine, hold.MODULE)
    return lambda: Host(engine, module)


def event(message: str, code: int) -> bytes:
    error = {"message": message, "type": "InternalServerError", "param": None, "code": code}
    return f"data: {json.dumps({'error': error})}\n\n".encode()


def test_the_shipped_bytes_are_the_source() -> None:
    """MODULE is hold.wat, compiled."""
    compiled = without_names(bytes(wasmtime.wat2wasm(SOURCE.read_text())))

    assert compiled == hold.MODULE, f"MODULE should be {base64.b64encode(compiled).decode()}"


def test_headers_wait_for_the_body(new_host: NewHost) -> None:
    """They are held unless they end the stream, and every piece of the body lets all go on."""
    host = new_host()

    assert host.headers(1, end_of_stream=False) == HOLD
    assert host.headers(2, end_of_stream=True) == GO_ON
    assert host.data(1, b"data: one\n\n") == GO_ON
    assert host.data(1, b"data: two\n\n") == GO_ON
    assert host.status == 200


def test_an_empty_body_lets_go(new_host: NewHost) -> None:
    """A body that turns out to have no byte ends the wait too."""
    host = new_host()
    host.headers(1, end_of_stream=False)

    assert host.data(1, b"", end_of_stream=True) == GO_ON


@settings(deadline=None)
@given(message=st.text(max_size=100), code=st.integers(400, 599))
def test_only_a_server_error_changes_the_status(message: str, code: int, new_host: NewHost) -> None:
    """Whatever its message says, the event's own code decides."""
    host = new_host()
    host.headers(1, end_of_stream=False)
    host.data(1, event(message, code))

    assert host.status == (500 if code >= 500 else 200)


@settings(deadline=None)
@given(body=st.binary(max_size=2000))
def test_any_other_first_bytes_leave_the_status(body: bytes, new_host: NewHost) -> None:
    """No input makes the module trap or take an answer for an error."""
    host = new_host()
    host.headers(1, end_of_stream=False)

    assert host.data(1, body) == GO_ON
    assert host.status == 200


def test_an_error_after_the_first_bytes_is_left_alone(new_host: NewHost) -> None:
    """By then the status has gone out."""
    host = new_host()
    host.headers(1, end_of_stream=False)
    host.data(1, b"data: one\n\n")
    host.data(1, event("died", 500))

    assert host.status == 200


@pytest.mark.parametrize("other", [8, 1 + 8192])
def test_streams_do_not_disturb_each_other(other: int, new_host: NewHost) -> None:
    """Streams are held and released separately, those that meet in a slot included."""
    host = new_host()
    host.headers(1, end_of_stream=False)
    host.headers(other, end_of_stream=False)

    assert host.data(1, b"data: one\n\n") == GO_ON
    host.data(other, event("died", 500))
    assert host.status == 500
