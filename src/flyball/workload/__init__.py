"""What arrives: a workload shape and a seed, drawn into requests.

Pure: no clock, no files; randomness only from a seed. The load generator and the simulator draw the same requests.
"""

from flyball.workload.arrivals import arrival_times, at_rate
from flyball.workload.histograms import LengthHistogram, parse_lengths
from flyball.workload.lengths import token_counts
from flyball.workload.prompts import prompt_text
from flyball.workload.recordings import Recordings, read_recordings
from flyball.workload.requests import RequestSpec, Workload
from flyball.workload.traces import Trace, parse_trace
from flyball.workload.warm_up import warm_up

__all__ = [
    "LengthHistogram",
    "Recordings",
    "RequestSpec",
    "Trace",
    "Workload",
    "arrival_times",
    "at_rate",
    "parse_lengths",
    "parse_trace",
    "prompt_text",
    "read_recordings",
    "token_counts",
    "warm_up",
]
