"""Walks a live cluster along the chain from the API server to the replicas, and names the first broken link.

`gather` asks (reads and access reviews only, nothing is changed) and returns plain `ClusterFacts`. Every check is a
pure function of those facts and of the objects that were rendered; `walk` puts the answers in the order of the `CHAIN`.
"""

from flyball.cluster.doctor.chain import CHAIN
from flyball.cluster.doctor.expected import ExpectedService, expected_service
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.gathering import gather
from flyball.cluster.doctor.symptom import LinkResult, Symptom
from flyball.cluster.doctor.walk import Walk, walk

__all__ = [
    "CHAIN",
    "ClusterFacts",
    "ExpectedService",
    "LinkResult",
    "Symptom",
    "Walk",
    "expected_service",
    "gather",
    "walk",
]
