import json
import threading
from pathlib import Path
from typing import Any

from flyball.gateway.endpoints import endpoint_document, write_endpoints


def addresses_in(document: Any) -> list[tuple[str, int]]:
    (assignment,) = document["resources"]
    return [
        (address["address"], address["port_value"])
        for group in assignment["endpoints"]
        for address in (host["endpoint"]["address"]["socket_address"] for host in group["lb_endpoints"])
    ]


def test_exactly_the_given_replicas_are_listed() -> None:
    """Order and ports are kept; none is an empty list, which Envoy takes as such."""
    addresses = [("127.0.0.1", 9001), ("127.0.0.1", 9002)]

    assert addresses_in(endpoint_document(addresses, version=1)) == addresses
    assert addresses_in(endpoint_document([], version=2)) == []


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """Whoever reads while the list is replaced gets the old list or the new one."""
    path = tmp_path / "endpoints" / "endpoints.json"
    write_endpoints(path, [], version=0)
    lengths, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            lengths.add(len(addresses_in(json.loads(path.read_text()))))

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(1, 60):
        write_endpoints(path, [("127.0.0.1", 9000)] * (100 * (version % 2)), version=version)
    done.set()
    reader.join()

    assert lengths <= {0, 100}
    assert list(path.parent.iterdir()) == [path]
