"""What `flyball render` makes of the examples, applied, compared, observed and deleted: the whole way on one server."""

from pathlib import Path

import pytest
import yaml

from cluster_verbs import Flyball
from fake_apiserver import FakeApiServer
from flyball.cli.rendering import Rendered, rendered
from flyball.cluster.installed import MANAGED_BY, PART_OF, Installation
from flyball.cluster.objects import labels_of
from flyball.cluster.ordering import RANKS

EXAMPLES = Path(__file__).parents[2] / "examples"
_WATCHERS = {"PodMonitor", "PrometheusRule", "ServiceMonitor"}


# KEDA with node pools and two kinds of capacity; the Prometheus Adapter with an HPA of our own.
@pytest.fixture(scope="module", params=["chat", "guide"])
def made(request: pytest.FixtureRequest) -> Rendered:
    """The example's objects; planned once."""
    return rendered(EXAMPLES / f"{request.param}.yaml")


@pytest.mark.long
def test_the_whole_way(live_server: FakeApiServer, flyball: Flyball, made: Rendered, tmp_path: Path) -> None:
    """Applied once it differs in nothing; deleted with its weights, nothing of it is left."""
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all([manifest.plain for manifest in made.manifests]))
    before = [kind.kind for kind in live_server.store.kinds for _ in live_server.store.all(kind.kind)]

    applied = flyball("apply", "--manifests", file, "--yes")
    assert applied.code == 0, applied.err
    differs = flyball("diff", "--manifests", file)
    assert (differs.code, differs.out) == (0, "")
    status = flyball("status", "--manifests", file)
    assert status.code == 0, status.out

    assert flyball("delete", "--manifests", file, "--yes", "--weights").code == 0
    assert [kind.kind for kind in live_server.store.kinds for _ in live_server.store.all(kind.kind)] == before


def test_every_object_can_be_found_again(made: Rendered) -> None:
    """Prune, status and delete find objects by two labels; each rendered kind has a place in the order."""
    assert made.design is not None
    installation = Installation(name=made.design.name, namespace=made.design.namespace)
    for manifest in made.manifests:
        assert manifest.kind in RANKS or manifest.kind in _WATCHERS
        if manifest.kind != "Namespace":  # it may hold other services too
            labels = labels_of(manifest.plain)
            assert (labels.get(PART_OF), labels.get(MANAGED_BY)) == (made.design.name, "flyball"), manifest.name
            assert installation.may_have(manifest.plain), manifest.name


@pytest.mark.long
def test_a_spec_is_rendered_and_applied(live_server: FakeApiServer, flyball: Flyball) -> None:
    """The verbs take the spec itself: what is applied is what `flyball render` prints."""
    example = EXAMPLES / "chat.yaml"

    assert flyball("apply", example, "--yes", "--no-wait").code == 0
    assert flyball("diff", example).code == 0
    assert flyball("status", example).out.startswith("chat ")
    assert flyball("delete", example, "--yes", "--no-wait").code == 0
