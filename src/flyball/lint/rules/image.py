"""Rules about the image: which vLLM runs, and whether it is always the same one."""

from collections.abc import Iterator

from flyball.catalog import DEFAULT_RELEASE, SAFE_RELEASE, advisories
from flyball.lint.engine import Engine
from flyball.lint.rule import Hit, Rule, engine_rule

_MOVING = frozenset({"", "latest", "nightly", "main", "stable", "dev"})


@engine_rule(
    "error",
    finds="a vLLM image without a version in its tag",
    why="vLLM releases every two weeks and changes flags and metrics each time: replicas, dashboards and scaling drift"
    " apart with the next pull",
    reference="https://kubernetes.io/docs/concepts/containers/images/; vllm-project/vllm#27154",
)
def image_moving_tag(engine: Engine) -> Iterator[Hit]:
    moves = engine.image.tag in _MOVING or engine.image.tag.startswith(("nightly", "latest"))
    if moves and not engine.image.digest:
        node = engine.container.at("image")
        tag = f"tag {engine.image.tag} moves" if engine.image.tag else "no tag means latest"
        fix = f"pin version and digest: {engine.image.repository or 'vllm/vllm-openai'}:v{DEFAULT_RELEASE}@sha256:..."
        yield Hit(at=node, says=f"{node.text}: {tag}", fix=fix)


@engine_rule(
    "info",
    finds="a vLLM image without a digest",
    why="tags can be pushed again; nodes that pulled at different times then run different code",
    reference="https://kubernetes.io/docs/concepts/containers/images/#image-names",
)
def image_no_digest(engine: Engine) -> Iterator[Hit]:
    if engine.image.version and not engine.image.digest:
        node = engine.container.at("image")
        yield Hit(at=node, says=f"{node.text} has no digest", fix="append @sha256: and the digest")


@engine_rule(
    "error",
    finds="a vLLM version with known security advisories",
    why="vLLM parses what strangers send; several of its weaknesses need no key",
    reference="https://github.com/vllm-project/vllm/security/advisories",
)
def image_advisories(engine: Engine) -> Iterator[Hit]:
    if engine.version is None:
        return
    known = advisories(engine.version)
    if known:
        newest = ", ".join(f"{each.id} ({each.title})" for each in known[-3:])
        says = f"vLLM {engine.version} has {len(known)} known advisories, among them {newest}"
        if len(known) == 1:
            says = f"vLLM {engine.version} has a known advisory: {newest}, fixed in {known[0].fixed_in}"
        yield Hit(at=engine.container.at("image"), says=says, fix=f"vLLM {SAFE_RELEASE} or newer")


RULES: tuple[Rule, ...] = (image_moving_tag, image_no_digest, image_advisories)
