"""--wait and --timeout of the verbs that change a cluster."""

from flyball.cluster.waiting import Patience
from flyball.errors import UsageError
from flyball.units import parse_duration


def patience(*, wait: bool, timeout: str) -> Patience | None:
    """None for --no-wait. Raises UsageError for a timeout that is no duration."""
    try:
        seconds = parse_duration(timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}", fix="for example --timeout 30m") from None
    return Patience(seconds) if wait else None
