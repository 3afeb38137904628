"""A volume claim cannot shrink: where the spec asks for less than there is, what is there stays."""

import copy
from typing import Any

from flyball.cluster.objects import PlainObject, dig
from flyball.scaling.quantity import parse_quantity

_SIZE = ("spec", "resources", "requests", "storage")


def keep_size(body: PlainObject, live: PlainObject | None) -> tuple[PlainObject, str]:
    """The object as it is to be sent, and what there is to say of it; both as they were for all but such a claim."""
    wanted, there = dig(body, *_SIZE), dig(live or {}, *_SIZE)
    if body.get("kind") != "PersistentVolumeClaim" or wanted is None or there is None:
        return body, ""
    try:
        shrinks = parse_quantity(wanted) < parse_quantity(there)
    except ValueError:
        return body, ""  # the API server says what is wrong with it
    if not shrinks:
        return body, ""
    kept: dict[str, Any] = copy.deepcopy(dict(body))
    kept["spec"]["resources"]["requests"]["storage"] = there
    return kept, f".{'.'.join(_SIZE)} stays at {there}, more than the {wanted} of the spec: a claim cannot shrink"
