"""A server that a command restarts, for tests: `/health`, `/metrics` with its start time, and what it was given."""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STARTED, ARGUMENTS = time.time(), sys.argv[2:]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answers = {
            "/health": "",
            "/metrics": f"process_start_time_seconds {STARTED}\n",
            "/version": json.dumps({"version": "0.33.0"}),
            "/v1/models": json.dumps({"data": [{"id": "m", "arguments": ARGUMENTS}]}),
        }
        body = answers.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or "")))
        self.end_headers()
        self.wfile.write((body or "").encode())


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
