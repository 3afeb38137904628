"""A small real server with the part of Prometheus' HTTP API that is asked here; the answers are a test's."""

import json
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from flyball.cluster.doctor.facts import Answer, Target

QUERY, TARGETS = "/api/v1/query", "/api/v1/targets"


class FakePrometheus:
    """Answers the queries that it knows, and every other one with no series; `with` serves it on loopback."""

    def __init__(self, answers: Mapping[str, Answer], targets: Sequence[Target]) -> None:
        self.answers = answers
        self.targets = targets
        self.queries: list[str] = []

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.prometheus = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def query(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The document that answers an instant query."""
        query = parameters["query"]
        self.queries.append(query)
        known = self.answers.get(query, Answer())
        if known.error:
            return {"status": "error", "errorType": "bad_data", "error": known.error}
        result = [{"metric": dict(each.labels), "value": [1764000000.0, f"{each.value}"]} for each in known.samples]
        return {"status": "success", "data": {"resultType": "vector", "result": result}}

    def active_targets(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The document with the targets of the scrape pool that is asked for."""
        found = [
            {
                "scrapePool": each.pool,
                "labels": dict(each.labels),
                "health": each.health,
                "lastError": each.last_error,
                "scrapeUrl": f"http://{each.labels.get('pod')}/metrics",
            }
            for each in self.targets
            if parameters.get("scrapePool") in (None, each.pool)
        ]
        return {"status": "success", "data": {"activeTargets": found}}


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
        """Silence."""

    def do_GET(self) -> None:
        server: FakePrometheus = self.server.prometheus  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        parameters = dict(parse_qsl(parts.query))
        answers = {QUERY: server.query, TARGETS: server.active_targets}
        document = answers[parts.path](parameters) if parts.path in answers else None
        content = json.dumps(document).encode()
        if document is None:
            self.send_response(404)
        else:
            self.send_response(200 if document["status"] == "success" else 400)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
