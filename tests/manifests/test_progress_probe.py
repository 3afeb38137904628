"""The liveness script as it is mounted, run by Python against a server with vLLM's metrics."""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from flyball.manifests.design import ENGINE_PORT
from flyball.manifests.probes import PROGRESS, STALLED_S
from loopback_http import Exchange, Request, Server
from service_designs import MATRIX, objects, of_kind

METRICS = """\
# HELP vllm:iteration_tokens_total Histogram of number of tokens per engine_step.
# TYPE vllm:iteration_tokens_total histogram
vllm:num_requests_running{{engine="0",model_name="org/small"}} 0.0
vllm:iteration_tokens_total_bucket{{engine="0",le="1.0",model_name="org/small"}} 5.0
vllm:iteration_tokens_total_count{{engine="0",model_name="org/small"}} {steps}
"""


@dataclass
class Engine:
    """A server with vLLM's metrics; `answers` says whether a request makes it step."""

    folder: Path
    steps: int = 100
    answers: bool = True
    asked: list[Request] = field(default_factory=list)

    async def serve(self, exchange: Exchange) -> None:
        if exchange.request.path == "/metrics":
            await exchange.answer(METRICS.format(steps=self.steps).encode())
            return
        self.asked.append(exchange.request)
        self.steps += self.answers
        await exchange.answer(b"{}", status=200 if self.answers else 503)

    async def look(self, *, at_s: float) -> int:
        """Runs the script, that many seconds after some moment; the exit code."""
        async with Server(self.serve) as server:
            script = PROGRESS.replace(f":{ENGINE_PORT}", f":{server.port}")
            script = script.replace("/tmp/progress.json", str(self.folder / "progress.json"))
            script = script.replace("time.monotonic()", f"{1000 + at_s}")
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                script,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={"VLLM_API_KEY": "sk-test"},
            )
            return await child.wait()


async def test_it_restarts_an_engine_that_stands_still(tmp_path: Path) -> None:
    """No step for longer than the limit fails, though by its gauges it is idle; the first look only remembers."""
    engine = Engine(folder=tmp_path, answers=False)

    assert await engine.look(at_s=0) == 0
    assert engine.asked == []
    assert await engine.look(at_s=STALLED_S) == 0
    assert await engine.look(at_s=STALLED_S + 30) == 1


async def test_it_leaves_an_engine_that_steps(tmp_path: Path) -> None:
    """One step in the whole time is progress, and an engine that has work is asked for none."""
    engine = Engine(folder=tmp_path, answers=False)

    assert await engine.look(at_s=0) == 0
    engine.steps += 1
    assert await engine.look(at_s=STALLED_S + 30) == 0
    engine.steps += 1
    assert await engine.look(at_s=9 * STALLED_S) == 0
    assert engine.asked == []


async def test_it_leaves_an_engine_that_is_idle(tmp_path: Path) -> None:
    """However long: each second look asks for one token, with the key and the model's name, and sees the step."""
    engine = Engine(folder=tmp_path)

    assert [await engine.look(at_s=30 * number) for number in range(20)] == [0] * 20

    assert 9 <= len(engine.asked) <= 10
    asked = engine.asked[0]
    assert (asked.path, asked.headers["authorization"]) == ("/v1/completions", "Bearer sk-test")
    assert json.loads(asked.body) == {"model": "org/small", "prompt": "a", "max_tokens": 1}


async def test_it_leaves_an_engine_whose_metrics_cannot_be_read(tmp_path: Path) -> None:
    """Nothing listens: the readiness probe and the end of the process say that already."""
    script = PROGRESS.replace(f":{ENGINE_PORT}", ":9").replace("/tmp/progress.json", str(tmp_path / "progress.json"))
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=asyncio.subprocess.DEVNULL)
    assert await child.wait() == 0


def test_it_is_the_script_that_is_mounted() -> None:
    """The ConfigMap holds it under the name that the probe runs."""
    manifests = objects(MATRIX["plain"])
    container = of_kind(manifests, "Deployment", "chat-engine")["spec"]["template"]["spec"]["containers"][0]
    path = Path(container["livenessProbe"]["exec"]["command"][1])
    mount = next(each for each in container["volumeMounts"] if each["name"] == "probe")
    data = of_kind(manifests, "ConfigMap", "chat-engine-probe")["data"]

    assert str(path.parent) == mount["mountPath"]
    assert data[path.name] == PROGRESS
