"""Loads an OpenAI-compatible server with streaming chat completions and records what came of every request.

Open loop by default: requests are sent at their times whatever the others do, and latency counts from those times.
"""

from flyball.bench.client import Answer, ask, list_models
from flyball.bench.load import LoadSettings, run_load

__all__ = ["Answer", "LoadSettings", "ask", "list_models", "run_load"]
