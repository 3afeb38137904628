"""A real Prometheus with the rendered configuration, scraping real vLLM replicas behind a real Envoy.

kube-state-metrics and the DCGM exporter are stood in for by files of their expositions: there is no cluster, no GPU.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from flyball.engine import SMALL_MODEL_ID, Engine, Replica, replica_command, resolve_model, this_machine
from flyball.gateway import Gateway, GatewaySettings
from flyball.manifests.dashboard import dashboard
from flyball.manifests.latency import bucket_flag
from flyball.manifests.manifest import unwrapped
from flyball.manifests.monitoring import asked_metrics
from flyball.manifests.prometheus_rules import rule_file, rule_groups
from flyball.manifests.queries import scaling_query
from flyball.manifests.rules import Alert
from flyball.manifests.scraping import engine_monitor, gateway_monitor
from flyball.manifests.watch import Watch
from flyball.processes import Nursery, free_port
from flyball.spec import ServingSpec, parse_model

pytestmark = [pytest.mark.vllm, pytest.mark.envoy, pytest.mark.timeout(400)]

DATA = Path(__file__).parent / "data"
PODS = ("chat-engine-6c9f8d7b5-x2x7k", "chat-engine-6c9f8d7b5-q8w2z")
VERSION = "0.32.0"
STREAMS = 3
SPEC = f"""
model: {{id: {SMALL_MODEL_ID}, served_name: small}}
engine: {{max_num_seqs: 2}}
scaling: {{max: 2}}
local: {{kv_cache: 128Mi}}
"""
Sample = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What Prometheus answered, by query."""

    answers: Mapping[str, list[Sample]]
    signals: list[float]
    """The scaling query while streams ran."""
    rules: list[Mapping[str, Any]]


def scrape_config(monitor: Mapping[str, Any], targets: Mapping[str, int], container: str) -> dict[str, Any]:
    """What the operator makes of a PodMonitor, for pods at the given ports of this machine."""
    endpoint = unwrapped(monitor["spec"])["podMetricsEndpoints"][0]
    name, namespace = monitor["metadata"]["name"], monitor["metadata"]["namespace"]
    target_labels = {"namespace": namespace, "container": container, "endpoint": endpoint["port"]}
    return {
        "job_name": f"podMonitor/{namespace}/{name}/0",
        "metrics_path": endpoint["path"],
        "static_configs": [
            {"targets": [f"127.0.0.1:{port}"], "labels": {**target_labels, "pod": pod}} for pod, port in targets.items()
        ],
        "relabel_configs": [_snake(rule) for rule in endpoint["relabelings"]],
        "metric_relabel_configs": [_snake(rule) for rule in endpoint["metricRelabelings"]],
    }


def _snake(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {{"sourceLabels": "source_labels", "targetLabel": "target_label"}.get(k, k): v for k, v in rule.items()}


def configuration(watch: Watch, *, replicas: Mapping[str, int], gateway_port: int, exporters: int) -> dict[str, Any]:
    asked = asked_metrics(watch)
    engine = engine_monitor(watch.series, selector={}, labels={}, asked=asked)
    gateway = gateway_monitor(watch.series, selector={}, labels={}, asked=asked)
    exporter = {"targets": [f"127.0.0.1:{exporters}"], "labels": {"namespace": "gpu-operator", "pod": "exporter"}}
    return {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            scrape_config(engine, replicas, "vllm"),
            scrape_config(gateway, {"chat-gateway-5d9c-abcde": gateway_port}, "envoy"),
            {
                "job_name": "kube-state-metrics",
                "metrics_path": "/kube-state-metrics.txt",
                "honor_labels": True,
                "static_configs": [exporter],
            },
            {"job_name": "dcgm-exporter", "metrics_path": "/dcgm-exporter.txt", "static_configs": [exporter]},
        ],
    }


def panel_queries(watch: Watch) -> Iterator[tuple[str, str]]:
    """(title, query) of each line of the dashboard's JSON, with Grafana's variable filled in."""
    for panel in dashboard(watch)["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")


def every_query(watch: Watch) -> set[str]:
    found = {query for _, query in panel_queries(watch)}
    for group in rule_groups(watch):
        for rule in group.rules:
            found |= {str(rule.query), *rule.query.selectors}
    samples = ("scrape_samples_scraped", "scrape_samples_post_metric_relabeling")
    return found | {f'{name}{{job="chat-{part}"}}' for name in samples for part in ("engine", "gateway")}


class Stage:
    """Everything that runs; stopped when the stack closes."""

    def __init__(self, folder: Path, engine: Engine, nursery: Nursery, stack: AsyncExitStack) -> None:
        self.folder, self.engine, self.nursery, self.stack = folder, engine, nursery, stack
        self.prometheus_url = ""

    async def session(self) -> aiohttp.ClientSession:
        return await self.stack.enter_async_context(aiohttp.ClientSession())

    async def replicas(self, watch: Watch) -> list[Replica]:
        """Two real servers that have the objective's bounds as bucket bounds."""
        spec = parse_model(ServingSpec, SPEC, source="spec")
        flags = {name: flag.value for name, flag in bucket_flag(watch.slo, watch.series.release).items()}
        spec = spec.model_copy(update={"engine": {**spec.engine, **flags}})
        session, started = await self.session(), []
        for index in range(len(PODS)):
            port = free_port()
            command = replica_command(
                spec,
                engine=self.engine,
                model=resolve_model(spec.model.id, self.engine),
                machine=this_machine(),
                index=index,
                port=port,
                inherited=os.environ,
            )
            replica = Replica(
                name=f"r{index}",
                port=port,
                argv=command.argv,
                env=command.env,
                log=self.folder / f"r{index}.log",
                drain_timeout_s=spec.local.drain_timeout,
                nursery=self.nursery,
                session=session,
            )
            await replica.start()
            self.stack.push_async_callback(replica.stop)
            started.append(replica)
        for replica in started:
            assert await replica.wait_ready(240.0) is None, replica.failure
        return started

    async def gateway(self, replicas: list[Replica]) -> Gateway:
        settings = GatewaySettings(port=0, admin_port=free_port(), metrics_port=free_port())
        gateway = Gateway(settings, self.folder / "gateway", self.nursery)
        gateway.set_endpoints([("127.0.0.1", replica.port) for replica in replicas])
        await gateway.start()
        self.stack.push_async_callback(gateway.stop, 0)
        return gateway

    async def exporters(self) -> int:
        """Serves the recorded expositions; the port."""
        app = web.Application()
        app.router.add_static("/", DATA)
        runner = web.AppRunner(app)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return port

    async def prometheus(self, program: str, settings: Mapping[str, Any], rules: Mapping[str, Any]) -> None:
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(dict(settings)))
        (self.folder / "rules.yaml").write_text(yaml.safe_dump(dict(rules)))
        port = free_port()
        self.prometheus_url = f"http://127.0.0.1:{port}"
        argv = [
            program,
            f"--config.file={self.folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        child = await self.nursery.start(argv, log=self.folder / "prometheus.log")
        self.stack.push_async_callback(child.stop, grace_s=5.0)
        await self._until(self._is_ready, 30.0)
        assert child.returncode is None, child.tail()

    async def _is_ready(self) -> bool:
        try:
            async with (await self.session()).get(f"{self.prometheus_url}/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def ask(self, query: str) -> list[Sample]:
        """The series; an AssertionError with Prometheus' reason if it cannot read the query."""
        session = await self.session()
        async with session.get(f"{self.prometheus_url}/api/v1/query", params={"query": query}) as response:
            body = await response.json()
        assert body["status"] == "success", f"{body.get('error')}: {query}"
        found: list[Sample] = body["data"]["result"]
        return found

    async def signals(self, query: str, gateway: Gateway) -> list[float]:
        """What the scaling query says while streams run."""
        loads = [asyncio.create_task(self._stream(gateway, 96)) for _ in range(STREAMS)]
        seen: list[float] = []
        while not all(load.done() for load in loads):
            seen += [float(sample["value"][1]) for sample in await self.ask(query)]
            await asyncio.sleep(0.5)
        await asyncio.gather(*loads)
        return seen

    async def _stream(self, gateway: Gateway, tokens: int) -> None:
        body = {
            "model": "small", "messages": [{"role": "user", "content": "Tell me a story"}], "max_tokens": tokens,
            "ignore_eos": True, "stream": True,
        }  # fmt: skip
        async with (await self.session()).post(f"{gateway.url}/v1/chat/completions", json=body) as response:
            assert response.status == 200
            await response.read()

    async def _until(self, holds: Any, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while not await holds():
            assert time.monotonic() < deadline, "waited in vain"
            await asyncio.sleep(0.2)

    async def settled(self, watch: Watch) -> None:
        """Until every record is there and the last scrape has seen the end of the load."""
        records = [rule.query for group in rule_groups(watch) for rule in group.rules if not isinstance(rule, Alert)]

        async def recorded() -> bool:
            answers = [await self.ask(str(query)) for query in records]
            return all(answers)

        await self._until(recorded, 30.0)
        await asyncio.sleep(5.0)  # two scrapes and two evaluations of Prometheus' own clock


async def observe(folder: Path, engine: Engine, program: str, watch: Watch) -> Observed:
    with Nursery() as nursery:
        async with AsyncExitStack() as stack:
            stage = Stage(folder, engine, nursery, stack)
            replicas = await stage.replicas(watch)
            gateway = await stage.gateway(replicas)
            settings = configuration(
                watch,
                replicas=dict(zip(PODS, (replica.port for replica in replicas), strict=True)),
                gateway_port=gateway.settings.metrics_port or 0,
                exporters=await stage.exporters(),
            )
            await stage.prometheus(program, settings, rule_file(watch))
            query = scaling_query("in_system", name="chat", namespace="llm", release=watch.series.release)
            signals = await stage.signals(query, gateway)
            await stage.settled(watch)
            answers = {query: await stage.ask(query) for query in sorted(every_query(watch))}
            async with (await stage.session()).get(f"{stage.prometheus_url}/api/v1/rules") as response:
                groups = (await response.json())["data"]["groups"]
            return Observed(
                answers=answers, signals=signals, rules=[rule for group in groups for rule in group["rules"]]
            )


@pytest.fixture(scope="module")
def observed(installed_engine: Engine, tmp_path_factory: pytest.TempPathFactory, watch_on: Any) -> Observed:
    """One fleet, one load, and Prometheus' answers to every query."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: apt-get install prometheus)")
    return asyncio.run(observe(tmp_path_factory.mktemp("prometheus"), installed_engine, program, watch_on(VERSION)))


def test_the_signal_is_the_work_in_the_system(observed: Observed) -> None:
    """Three streams over two replicas: the sum rises to 3 and never above; one value each time."""
    assert max(observed.signals) == STREAMS


def test_every_panel_shows_something(observed: Observed, watch_on: Any) -> None:
    """Each line of the dashboard returns a series, from vLLM, Envoy, kube-state-metrics and the DCGM exporter."""
    empty = [(title, query) for title, query in panel_queries(watch_on(VERSION)) if not observed.answers[query]]

    assert empty == []


def test_every_rule_is_healthy_and_every_record_recorded(observed: Observed, watch_on: Any) -> None:
    """Prometheus loaded and evaluated all rules without a complaint, and each record has a series."""
    groups = rule_groups(watch_on(VERSION))
    records = [rule for group in groups for rule in group.rules if not isinstance(rule, Alert)]

    assert len(observed.rules) == sum(len(group.rules) for group in groups)
    assert [(rule["name"], rule.get("lastError")) for rule in observed.rules if rule["health"] != "ok"] == []
    assert [record.record for record in records if not observed.answers[str(record.query)]] == []


def test_every_alert_looks_at_series_that_are_there(observed: Observed, watch_on: Any) -> None:
    """Each selector of each alert returns a series: none is silent because its metric or its label is not there."""
    alerts = [rule for group in rule_groups(watch_on(VERSION)) for rule in group.rules if isinstance(rule, Alert)]
    blind = [(alert.name, each) for alert in alerts for each in alert.query.selectors if not observed.answers[each]]

    assert blind == []


def test_a_service_that_works_alerts_nobody(observed: Observed) -> None:
    """Only the node that the sample of kube-state-metrics has as leaving is reported."""
    firing = {rule["name"] for rule in observed.rules if rule.get("state") == "firing"}

    assert firing <= {"VllmNodeLeaving"}


def test_the_bound_of_the_objective_is_a_bucket(observed: Observed, watch_on: Any) -> None:
    """200 ms is none of vLLM's own buckets; the flag that is rendered made it one, in every replica."""
    watch = watch_on(VERSION)
    bucket = watch.series.engine("vllm:time_to_first_token_seconds_bucket", le="0.2")

    assert {sample["metric"]["pod"] for sample in observed.answers[str(bucket)]} == set(PODS)


@pytest.mark.parametrize(("part", "share"), [("engine", 0.6), ("gateway", 0.1)])
def test_the_number_of_series_is_bounded(part: str, share: float, observed: Observed) -> None:
    """What relabelling leaves of a replica's and of the gateway's series."""
    scraped, left = (
        float(observed.answers[f'{name}{{job="chat-{part}"}}'][0]["value"][1])
        for name in ("scrape_samples_scraped", "scrape_samples_post_metric_relabeling")
    )

    assert 0 < left < share * scraped
