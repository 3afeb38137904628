"""Any server that a shell command can restart with other flags, at an address of its own."""

import asyncio
import json
import re
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from flyball.bench.benchmark import find_model
from flyball.bench.client import base_url
from flyball.engine import StartFailure, diagnose
from flyball.engine.args import render_args
from flyball.errors import OutsideError, UsageError
from flyball.measurement import parse_exposition
from flyball.processes import Child, Nursery
from flyball.spec import FlagValue
from flyball.tune.target import Started
from flyball.tune.trial import Flags

_PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z][a-z0-9_]*)\}")
POLL_S = 0.5
_TIMEOUT_S = 5.0
STOP_S = 20.0
"""What a command that is still running, because it is the server, has to end by itself."""


def filled(template: str, flags: Flags, *, fixed: Mapping[str, FlagValue], version: str) -> str:
    """The command for these flags: `{flags}` is all of them as vLLM's options, `{max_num_seqs}` the value of one.

    `fixed` are the flags that are not tuned. `${NAME}` is left to the shell. UsageError for a placeholder that is no
    flag, and for a tuned flag that is left out.
    """
    names, every = set(_PLACEHOLDER.findall(template)), {**fixed, **flags}
    unknown = sorted(names - {"flags", *every})
    if unknown:
        raise UsageError(
            f"--restart-command: {{{unknown[0]}}} is no flag that is set",
            fix=f"use {{flags}}, or {', '.join(f'{{{name}}}' for name in every)}",
        )
    missing = sorted(set(flags) - names)
    if missing and "flags" not in names:
        raise UsageError(
            f"--restart-command does not pass on {missing[0]}", fix=f"put {{flags}} or {{{missing[0]}}} into it"
        )
    values = {name: shlex.quote(str(value)) for name, value in every.items()}
    values["flags"] = shlex.join(render_args(every, version=version))
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


class CommandTarget:
    """A `Target`. The command may restart a service and end, or be the server itself and stay."""

    def __init__(
        self,
        template: str,
        url: str,
        *,
        fixed: Mapping[str, FlagValue],
        version: str,
        start_timeout_s: float,
        model: str | None,
        api_key: str | None,
        nursery: Nursery,
        session: aiohttp.ClientSession,
    ) -> None:
        """`model` is the name that is preferred where the server has several."""
        self._template, self._url, self._fixed, self._version = template, str(base_url(url)), fixed, version
        self._timeout_s, self._model, self._api_key = start_timeout_s, model, api_key
        self._nursery, self._session = nursery, session
        self._child: Child | None = None

    async def start(self, flags: Flags, *, log: Path) -> Started | StartFailure:
        """Ready is a /health of another process than the one that answered before."""
        command = filled(self._template, flags, fixed=self._fixed, version=self._version)
        before = await self._started_at()
        was_down = not await self._is_healthy()
        began = time.perf_counter()
        child = self._child = await self._nursery.start(("/bin/sh", "-c", command), log=log)
        while time.perf_counter() - began < self._timeout_s:
            if child.returncode not in (None, 0):
                return self._failed(child, f"the command ended with exit code {child.returncode}")
            if not await self._is_healthy():
                was_down = True
            elif was_down or (child.returncode == 0 and await self._started_at() not in (None, before)):
                seconds = time.perf_counter() - began
                model = await find_model(self._url, wanted=None, preferred=self._model, api_key=self._api_key)
                return Started(url=self._url, model=model, seconds=seconds, vllm=await self._told_version())
            await asyncio.sleep(POLL_S)
        stayed = "" if was_down else ": the same process answers as before the command"
        failure = self._failed(child, f"{self._url} was not ready after {self._timeout_s:.0f} s{stayed}")
        await self.stop()
        return failure

    async def stop(self) -> None:
        """Only what the command left running; a service that it restarted stays until the next restart."""
        if self._child is not None:
            await self._child.stop(grace_s=STOP_S)

    def _failed(self, child: Child, cause: str) -> StartFailure:
        said = diagnose(child.tail(), returncode=child.returncode)
        lines = [line.strip() for line in child.tail().splitlines() if line.strip()]
        known = said.cause if said.is_permanent else ""
        return StartFailure(
            cause=f"{cause}: {known}" if known else cause,
            evidence=said.evidence or (lines[-1] if lines else ""),
            fix=f"read {child.log}",
            is_permanent=said.is_permanent,
        )

    async def _started_at(self) -> float | None:
        """When the server's process began, by its own metrics; None if it does not say."""
        text = await self._get("/metrics")
        if text is None:
            return None
        samples = parse_exposition(text)
        return next((each.value for each in samples if each.name == "process_start_time_seconds"), None)

    async def _told_version(self) -> str | None:
        """By vLLM's own /version; None where there is none, or none that can be read."""
        try:
            return str(json.loads(await self._get("/version") or "")["version"])
        except (ValueError, TypeError, KeyError):
            return None

    async def _is_healthy(self) -> bool:
        return await self._get("/health") is not None

    async def _get(self, path: str) -> str | None:
        """The body of a 200; None for everything else."""
        try:
            timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
            async with self._session.get(self._url.rstrip("/") + path, timeout=timeout) as response:
                return await response.text() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return None
        except ValueError as error:
            raise OutsideError(f"{self._url} sent what is no text: {error}", fix="check --url") from error
