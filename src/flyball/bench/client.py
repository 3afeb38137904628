"""Talks to an OpenAI-compatible server: addresses, connections, which models it has, one question."""

import os
import ssl
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from flyball import __version__
from flyball.bench.stream import error_message
from flyball.errors import FlyballError, OutsideError, UsageError

CONNECT_TIMEOUT_S = 10.0
_LOOKUP_TIMEOUT_S = 15.0
# vLLM closes a connection after 5 idle seconds; a request sent at that moment would fail for no fault of its own.
_KEEPALIVE_S = 2.0
_READ_BUFFER_BYTES = 2**20


class NotOpenAIError(OutsideError):
    """It answers, but not as an OpenAI-compatible server does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer to one question."""

    text: str
    prompt_tokens: int
    output_tokens: int
    seconds: float
    """From the request to the whole answer."""


def base_url(url: str) -> URL:
    """The server's root: a trailing slash or /v1 does not matter. Raises UsageError."""
    try:
        parsed = URL(url)
        usable = parsed.scheme in ("http", "https") and bool(parsed.host)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{url!r} is not a server's address", fix="write it like http://localhost:8000")
    path = parsed.path.rstrip("/").removesuffix("/v1")
    return parsed.with_path(path).with_query(None).with_fragment(None)


def open_session(api_key: str | None = None, *, timeout: aiohttp.ClientTimeout | None = None) -> aiohttp.ClientSession:
    """Connections without a limit on their number, without cookies, proxies or compression."""
    headers = {"Accept-Encoding": "identity", "User-Agent": f"flyball/{__version__}"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return aiohttp.ClientSession(
        # limit=0: the default of 100 would queue requests in the client. Names are looked up once.
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=None, keepalive_timeout=_KEEPALIVE_S),
        timeout=timeout or aiohttp.ClientTimeout(total=_LOOKUP_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        read_bufsize=_READ_BUFFER_BYTES,
    )


async def list_models(url: str, *, api_key: str | None = None) -> list[str]:
    """The names under which the server takes requests. Raises OutsideError, UsageError."""
    base = base_url(url)
    async with open_session(api_key) as session:
        document = await _exchange(session, "GET", base / "v1/models")
    try:
        return [str(model["id"]) for model in document["data"]]
    except (TypeError, KeyError):
        raise _not_openai(base / "v1/models", "its answer lists no models") from None


async def server_version(url: str, *, api_key: str | None = None) -> str | None:
    """The version of vLLM, where the server tells it (a gateway may not let the question through)."""
    async with open_session(api_key) as session:
        try:
            document = await _exchange(session, "GET", base_url(url) / "version")
        except FlyballError:
            return None
    version = document.get("version") if isinstance(document, dict) else None
    return version if isinstance(version, str) else None


async def ask(
    url: str, question: str, *, model: str, api_key: str | None = None, max_tokens: int = 64, timeout_s: float = 120.0
) -> Answer:
    """The answer to one question, greedy, not streamed. Raises OutsideError, UsageError."""
    endpoint = base_url(url) / "v1/chat/completions"
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "temperature": 0,
    }
    timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
    async with open_session(api_key, timeout=timeout) as session:
        began = time.perf_counter()
        document = await _exchange(session, "POST", endpoint, body)
        seconds = time.perf_counter() - began
    try:
        return Answer(
            text=document["choices"][0]["message"]["content"] or "",
            prompt_tokens=document["usage"]["prompt_tokens"],
            output_tokens=document["usage"]["completion_tokens"],
            seconds=seconds,
        )
    except (TypeError, KeyError, IndexError):
        raise _not_openai(endpoint, "its answer is no chat completion") from None


async def _exchange(session: aiohttp.ClientSession, method: str, url: URL, body: Any = None) -> Any:
    """The JSON that the server answers. Every way to fail becomes one line and a way out."""
    try:
        async with session.request(method, url, json=body, allow_redirects=False) as response:
            if response.status != 200:
                raise _refusal(url, response.status, error_message(await response.content.read(4096)))
            return await response.json(content_type=None)
    except ValueError:
        raise _not_openai(url, "its answer is not JSON") from None
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise OutsideError(f"{url}: {explain(error)}", fix="is the server up, and is this its address?") from error


def explain(error: BaseException) -> str:
    """What went wrong with a connection, without Python's names."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return "no connection in time"
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorDNSError():
            return f"no such host: {error.host}"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return f"TLS failed: {error}"
        case aiohttp.ClientConnectorError():
            return explain(error.os_error)
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case aiohttp.ClientPayloadError():
            return "the connection was closed within the answer"
        case OSError(errno=int() as number) if number > 0:
            return os.strerror(number).lower()
        case _:
            return str(error) or type(error).__name__


def _refusal(url: URL, status: int, message: str) -> FlyballError:
    if status in (401, 403):
        return UsageError(f"{url}: the server wants another API key ({status})", fix="name its variable: --api-key-env")
    if status == 404 and "model" in message:
        return UsageError(f"{url}: {message}", fix="name a model that the server has")
    if status in (404, 405):
        return _not_openai(url, f"it answers {status}")
    return OutsideError(f"{url}: the server answers {status}: {message}", fix="its log says more")


def _not_openai(url: URL, why: str) -> NotOpenAIError:
    return NotOpenAIError(f"{url}: {why}", fix="give the address of an OpenAI-compatible server, such as vLLM")
