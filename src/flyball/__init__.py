"""flyball: from one vLLM server to a fleet that holds its latency objective and adjusts itself to demand."""

__version__ = "0.1.0"
