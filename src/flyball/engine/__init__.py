"""vLLM on this machine: its installation, the command of a replica, and the replica as a process.

`find_engine(Home.of_user())` gives the `Engine`; `replica_args` what all replicas of a spec have in common,
`replica_command` the command line and environment of one; `Replica` runs it. One that fails carries a `StartFailure`:
the cause from its log, and a way out.
"""

from flyball.engine.args import replica_args, replica_max_num_seqs
from flyball.engine.command import ReplicaCommand, replica_command
from flyball.engine.diagnosis import StartFailure, diagnose
from flyball.engine.finding import Engine, EngineStatus, engine_status, find_cuda_vllm, find_engine
from flyball.engine.home import ENGINE_VERSION, SMALL_MODEL_ID, Home
from flyball.engine.install import StepReport, install, installed_bytes, remove
from flyball.engine.machine import Gpu, Machine, this_machine
from flyball.engine.memory import ReplicaMemory, replica_memory
from flyball.engine.model import ServedModel, resolve_model
from flyball.engine.recipe import RECIPE, Step
from flyball.engine.replica import Replica

__all__ = [
    "ENGINE_VERSION",
    "RECIPE",
    "SMALL_MODEL_ID",
    "Engine",
    "EngineStatus",
    "Gpu",
    "Home",
    "Machine",
    "Replica",
    "ReplicaCommand",
    "ReplicaMemory",
    "ServedModel",
    "StartFailure",
    "Step",
    "StepReport",
    "diagnose",
    "engine_status",
    "find_cuda_vllm",
    "find_engine",
    "install",
    "installed_bytes",
    "remove",
    "replica_args",
    "replica_command",
    "replica_max_num_seqs",
    "replica_memory",
    "resolve_model",
    "this_machine",
]
