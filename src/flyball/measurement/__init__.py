"""What happened: one record a request, summaries, objectives, and vLLM's metrics as values.

Pure: no clock, no I/O. The load generator, the simulator and the proof all measure with these.
"""

from flyball.measurement.distribution import Distribution, percentile
from flyball.measurement.engine_snapshot import EngineSnapshot
from flyball.measurement.exposition import Sample, parse_exposition
from flyball.measurement.json_lines import record_from_json, record_to_json, records_from_json, records_to_json
from flyball.measurement.judging import is_good
from flyball.measurement.objective import ObjectiveResult, objective_results
from flyball.measurement.record import Outcome, RequestRecord
from flyball.measurement.summary import Summary

__all__ = [
    "Distribution",
    "EngineSnapshot",
    "ObjectiveResult",
    "Outcome",
    "RequestRecord",
    "Sample",
    "Summary",
    "is_good",
    "objective_results",
    "parse_exposition",
    "percentile",
    "record_from_json",
    "record_to_json",
    "records_from_json",
    "records_to_json",
]
