"""A small real server that behaves like vLLM from outside, for tests of what runs and loads one.

It has vLLM's slots (`--max-num-seqs`; the rest waits), headers before the first token, gauges and counters, drain on
SIGTERM with `--shutdown-timeout` (500 to new requests, `/health` still 200), and a fixed pace per sequence.
Environment: FAKE_TOKENS_PER_S (per sequence), FAKE_START_S, FAKE_FAIL (text that it prints before it exits with 1).
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from typing import Any

from aiohttp import web


class FakeEngine:
    def __init__(self, model: str, max_num_seqs: int) -> None:
        self.model = model
        self.slots = asyncio.Semaphore(max_num_seqs)
        self.pace_s = 1.0 / float(os.environ.get("FAKE_TOKENS_PER_S", "100"))
        self.running = 0
        self.waiting = 0
        self.tokens = 0
        self.first_tokens = 0
        self.ttft_sum_s = 0.0
        self.draining = False
        self.idle = asyncio.Event()
        self.idle.set()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        if self.draining:
            return web.json_response({"error": {"message": "cannot schedule new futures after shutdown"}}, status=500)
        body = await request.json()
        if body.get("model") not in (None, self.model):
            message = f"The model `{body['model']}` does not exist."
            return web.json_response({"error": {"message": message, "code": 404}}, status=404)
        prompt = sum(len(str(message["content"]).split()) for message in body["messages"])
        limit = int(body.get("max_tokens") or 16)
        if not body.get("stream"):
            async for _ in self.generate(limit):
                pass
            return web.json_response(self._answer(prompt, limit))
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        async for index in self.generate(limit):
            if index == 0:
                await self._send(response, {"role": "assistant", "content": ""})
            await self._send(response, {"content": "word "}, finish="length" if index == limit - 1 else None)
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = {"choices": [], "usage": _usage(prompt, limit)}
            await response.write(b"data: " + json.dumps(usage).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def generate(self, limit: int) -> Any:
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        self.waiting += 1
        self.idle.clear()
        try:
            await self.slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            for index in range(limit):
                await asyncio.sleep(self.pace_s)
                self.tokens += 1
                if index == 0:
                    self.first_tokens += 1
                    self.ttft_sum_s += loop.time() - arrived
                yield index
        finally:
            self.running -= 1
            self.slots.release()
            if self.running + self.waiting == 0:
                self.idle.set()

    async def metrics(self, _: web.Request) -> web.Response:
        labels = f'{{engine="0",model_name="{self.model}"}}'
        values = {
            "vllm:num_requests_running": self.running,
            "vllm:num_requests_waiting": self.waiting,
            "vllm:kv_cache_usage_perc": min(1.0, 0.01 * self.running),
            "vllm:num_preemptions_total": 0,
            "vllm:prompt_tokens_total": 0,
            "vllm:generation_tokens_total": self.tokens,
            "vllm:time_to_first_token_seconds_count": self.first_tokens,
            "vllm:time_to_first_token_seconds_sum": self.ttft_sum_s,
        }
        return web.Response(text="".join(f"{name}{labels} {float(value)}\n" for name, value in values.items()))

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.model, "object": "model"}]})

    async def _send(self, response: web.StreamResponse, delta: dict[str, str], finish: str | None = None) -> None:
        chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def _answer(self, prompt: int, tokens: int) -> dict[str, Any]:
        message = {"role": "assistant", "content": "The capital of France is Paris."}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {"model": self.model, "choices": choices, "usage": _usage(prompt, tokens)}


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def serve(arguments: argparse.Namespace) -> None:
    await asyncio.sleep(float(os.environ.get("FAKE_START_S", "0")))
    if failure := os.environ.get("FAKE_FAIL"):
        sys.exit(failure)
    engine = FakeEngine(arguments.served_model_name or arguments.model, arguments.max_num_seqs)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", engine.chat)
    app.router.add_get("/v1/models", engine.models)
    app.router.add_get("/metrics", engine.metrics)
    app.router.add_get("/health", engine.health)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, arguments.host, arguments.port).start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    engine.draining = True
    try:
        await asyncio.wait_for(engine.idle.wait(), arguments.shutdown_timeout)
    except TimeoutError:
        os._exit(1)
    await asyncio.sleep(0.05)  # the last bytes leave
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="fake")
    parser.add_argument("--served-model-name")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-num-seqs", type=int, default=4)
    parser.add_argument("--shutdown-timeout", type=float, default=0)
    asyncio.run(serve(parser.parse_known_args()[0]))
