"""Child processes that never outlive us, and the ports they listen on."""

from flyball.processes.child import Child, Nursery
from flyball.processes.ports import free_port, is_free, require_free

__all__ = ["Child", "Nursery", "free_port", "is_free", "require_free"]
