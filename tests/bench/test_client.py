import asyncio
import json
from collections.abc import Callable

import pytest

from flyball.bench import ask, list_models
from flyball.bench.benchmark import find_model
from flyball.bench.client import base_url, server_version
from flyball.errors import FlyballError, OutsideError, UsageError
from loopback_http import Exchange, Server


def _answering(body: object, status: int = 200) -> Callable[[Exchange], object]:
    async def answer(exchange: Exchange) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        await exchange.answer(text, status)

    return answer


def _server(body: object, status: int = 200) -> Server:
    return Server(_answering(body, status))  # type: ignore[arg-type]


def _url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


MODELS = {"object": "list", "data": [{"id": "base", "parent": None}, {"id": "lora", "parent": "base"}]}
ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 37, "completion_tokens": 3, "total_tokens": 40},
}


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://localhost:8000/v1", "http://localhost:8000"),
        ("http://localhost:8000/v1/", "http://localhost:8000"),
        ("https://llm.example.com/team/v1", "https://llm.example.com/team"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_addresses(given: str, base: str) -> None:
    """With or without a slash or /v1 at the end, an address means the server's root."""
    assert str(base_url(given)) == base


@pytest.mark.parametrize("given", ["localhost:8000", "ftp://x", "http://", "", "http://x:port", "8000"])
def test_addresses_that_are_none(given: str) -> None:
    """What is no address of a server is a usage error that shows what one looks like."""
    with pytest.raises(UsageError, match="is not a server's address") as caught:
        base_url(given)
    assert "http://localhost:8000" in caught.value.fix


async def test_models_are_listed() -> None:
    """All names the server takes, adapters too."""
    async with _server(MODELS) as server:
        assert await list_models(_url(server)) == ["base", "lora"]
        assert server.requests[0].path == "/v1/models"


async def test_a_question_is_answered() -> None:
    """One greedy completion: its text, its tokens, how long it took; the key goes along."""
    async with _server(ANSWER) as server:
        answer = await ask(_url(server), "Capital of France?", model="base", api_key="k")
    assert (answer.text, answer.prompt_tokens, answer.output_tokens) == ("Paris.", 37, 3)
    assert 0 < answer.seconds < 30
    assert json.loads(server.requests[0].body)["messages"] == [{"role": "user", "content": "Capital of France?"}]
    assert server.requests[0].headers["authorization"] == "Bearer k"


@pytest.mark.parametrize(
    ("body", "status", "kind", "what"),
    [
        ({"error": "Unauthorized"}, 401, UsageError, "the server wants another API key (401)"),
        ({"error": {"message": "The model `x` does not exist."}}, 404, UsageError, "The model `x` does not exist."),
        ({"detail": "Not Found"}, 404, OutsideError, "it answers 404"),
        ({"error": {"message": "cannot schedule"}}, 500, OutsideError, "the server answers 500: cannot schedule"),
        (b"<html>moved</html>", 301, OutsideError, "the server answers 301: <html>moved</html>"),
        (b"<html>welcome</html>", 200, OutsideError, "its answer is not JSON"),
        ({"object": "list"}, 200, OutsideError, "its answer"),
        ([], 200, OutsideError, "its answer"),
    ],
)
async def test_answers_that_are_none(body: object, status: int, kind: type[FlyballError], what: str) -> None:
    """Whatever a server answers instead, one line says where and what, another what to do."""
    async with _server(body, status) as server:
        for call in (list_models(_url(server)), ask(_url(server), "?", model="x")):
            with pytest.raises(kind) as caught:
                await call
            assert caught.value.what.startswith(_url(server))
            assert what in caught.value.what
            assert "\n" not in caught.value.what
            assert caught.value.fix


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://127.0.0.1:9", "connection refused"), ("http://flyball.invalid", "no such host: flyball.invalid")],
)
async def test_servers_that_are_not_there(url: str, reason: str) -> None:
    """A refused connection and an unknown host are told in plain words."""
    with pytest.raises(OutsideError, match=reason):
        await list_models(url)


async def test_a_server_that_dies_or_sleeps() -> None:
    """A connection closed without an answer, and an answer that does not come."""

    async def close(exchange: Exchange) -> None:
        exchange.close()

    async def sleep(_: Exchange) -> None:
        await asyncio.Event().wait()

    async with Server(close) as server:
        with pytest.raises(OutsideError, match="the connection was closed without an answer"):
            await list_models(_url(server))
    async with Server(sleep) as server:
        with pytest.raises(OutsideError, match="no answer in time"):
            await ask(_url(server), "?", model="x", timeout_s=0.1)


async def test_tls_to_a_plain_server_fails_in_one_line() -> None:
    """An https address of a server that speaks http is an error of one line."""

    async def speak_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak_http, "127.0.0.1", 0)
    async with server:
        with pytest.raises(OutsideError, match="TLS failed") as caught:
            await list_models(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert "\n" not in caught.value.what


async def test_the_version_is_told_or_unknown() -> None:
    """The version of vLLM where the server tells it; None from a gateway that does not let the question through."""
    async with _server({"version": "0.32.0"}) as server:
        assert await server_version(_url(server)) == "0.32.0"
    async with _server({"detail": "Not Found"}, 404) as server:
        assert await server_version(_url(server)) is None
    assert await server_version("http://127.0.0.1:9") is None


async def test_which_model_is_asked_for() -> None:
    """The wanted one; else the spec's, if it is there; else the only one; several are for the user to choose from."""
    one = {"data": [{"id": "only"}]}
    async with _server(MODELS) as several, _server(one) as single:
        assert await find_model(_url(several), wanted="lora", preferred="base", api_key=None) == "lora"
        assert await find_model(_url(several), wanted=None, preferred="base", api_key=None) == "base"
        assert await find_model(_url(single), wanted=None, preferred="another", api_key=None) == "only"
        with pytest.raises(UsageError, match="has several models: base, lora"):
            await find_model(_url(several), wanted=None, preferred="another", api_key=None)
        with pytest.raises(UsageError, match="has no model 'else'"):
            await find_model(_url(several), wanted="else", preferred=None, api_key=None)


async def test_models_that_cannot_be_listed() -> None:
    """A server without a model is not ready; behind a gateway that hides the list the user's name is taken."""
    async with _server({"data": []}) as empty, _server({"detail": "Not Found"}, 404) as hidden:
        with pytest.raises(OutsideError, match="has no model"):
            await find_model(_url(empty), wanted=None, preferred=None, api_key=None)
        assert await find_model(_url(hidden), wanted="mine", preferred=None, api_key=None) == "mine"
        with pytest.raises(OutsideError, match="it answers 404"):
            await find_model(_url(hidden), wanted=None, preferred=None, api_key=None)
