"""A container that serves a model with vLLM, and what the other objects say about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from flyball.catalog import DEFAULT_RELEASE, RELEASES, EngineRelease, release
from flyball.lint.command import Flag, ServeCommand, Word, flags_of_config, serve_command
from flyball.lint.image import Image, parse_image
from flyball.lint.node import Node
from flyball.lint.parsing import parse_embedded
from flyball.lint.pods import PodTemplate, plain_selector_matches, same_namespace, selects
from flyball.lint.reading import KubernetesObject
from flyball.lint.scaler import Scaler

ENGINE_PORT = 8000
"""Where vLLM listens unless told otherwise."""

DEVICES = ("nvidia.com/", "amd.com/", "google.com/tpu", "habana.ai/", "gpu.intel.com/", "aws.amazon.com/neuron")
"""Prefixes of the extended resources that accelerators are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Engine:
    """One vLLM server of a workload."""

    pod: PodTemplate
    container: Node
    image: Image
    command: ServeCommand
    flags: Mapping[str, Flag]
    """By vLLM's name, those of a `--config` file that is among the documents included."""
    has_all_flags: bool
    """Whether no flag is hidden in a config file that is not among the documents."""
    version: str | None
    """From the image's tag or the settings; None if neither says it."""
    scalers: tuple[Scaler, ...]
    services: tuple[KubernetesObject, ...]
    budgets: tuple[KubernetesObject, ...]
    """The PodDisruptionBudgets that cover it."""

    @property
    def object(self) -> KubernetesObject:
        return self.pod.object

    @property
    def release(self) -> EngineRelease | None:
        """What this very version is; None if there is no data about it."""
        return release(self.version) if self.version in RELEASES else None

    @property
    def nearest_release(self) -> EngineRelease:
        return self.release or release(DEFAULT_RELEASE)

    @property
    def env(self) -> Mapping[str, Node]:
        """The entries of `env` by name."""
        return {entry.at("name").text: entry for entry in self.container.at("env").items()}

    @property
    def model(self) -> Word | None:
        """A Hugging Face id or a path; None if the manifest does not say it."""
        flag = self.flags.get("model")
        return self.command.model or (Word(text=flag.text, node=flag.node) if flag else None)

    def flag(self, name: str) -> Flag | None:
        return self.flags.get(name)

    def number(self, name: str) -> float | None:
        """A numeric flag as given; None if it is not given, or by a variable."""
        flag = self.flags.get(name)
        return flag.number if flag else None

    def is_on(self, name: str) -> bool:
        flag = self.flags.get(name)
        return flag is not None and flag.is_on

    def count(self, name: str) -> int:
        """A parallel size: 1 unless given."""
        return int(self.number(name) or 1)

    @property
    def flag_node(self) -> Node:
        """Where a flag would be added."""
        return self.container.at("args") if self.container.at("args").exists else self.command.node

    @property
    def serves(self) -> bool:
        """Whether clients send it requests: not a headless rank, not a Job."""
        return not self.pod.runs_to_completion and not self.is_on("headless")

    @property
    def has_known_port(self) -> bool:
        """Whether `port` is what it listens on: not set by a variable or by a file that is not here."""
        flag = self.flags.get("port")
        return self.has_all_flags and (flag is None or flag.number is not None)

    @property
    def port(self) -> int:
        """As given, or vLLM's default."""
        return int(self.number("port") or ENGINE_PORT)

    @property
    def devices(self) -> Node:
        """The limit of the accelerator resource; missing if there is none."""
        limits = self.container.at("resources", "limits")
        return next(
            (value for name, value in limits.entries() if name.startswith(DEVICES)), limits.at("nvidia.com/gpu")
        )

    @property
    def runs_on_cpu(self) -> bool:
        return self.image.is_cpu and not self.devices.exists

    @property
    def min_replicas(self) -> int:
        return min((scaler.min_replicas for scaler in self.scalers), default=self.pod.replicas)

    @property
    def max_replicas(self) -> int:
        return max((scaler.max_replicas for scaler in self.scalers), default=self.pod.replicas)

    def mount_of(self, path: str) -> Node:
        """The volumeMount that holds `path`, the innermost if several do; missing if none does."""
        wanted = PurePosixPath(path)
        mounts = [
            mount
            for mount in self.container.at("volumeMounts").items()
            if wanted.is_relative_to(mount.at("mountPath").text or "?")
        ]
        return max(mounts, key=lambda mount: len(mount.at("mountPath").text), default=self.container.at("volumeMounts"))

    def volume_at(self, path: str) -> Node:
        """The volume that is mounted at `path` or above it; missing if there is none."""
        name = self.mount_of(path).at("name").text
        volumes = self.pod.spec.at("volumes")
        return next((volume for volume in volumes.items() if name and volume.at("name").text == name), volumes.at(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an engine is looked up in."""

    objects: Sequence[KubernetesObject]
    scalers: Sequence[Scaler]
    vllm_version: str | None


def engines_of(pod: PodTemplate, around: Surroundings) -> list[Engine]:
    found = [_engine(pod, container, around) for container in pod.containers]
    return [engine for engine in found if engine is not None]


def _engine(pod: PodTemplate, container: Node, around: Surroundings) -> Engine | None:
    image = parse_image(container.at("image").text)
    version = around.vllm_version or image.version
    known = release(version if version in RELEASES else DEFAULT_RELEASE)
    environment = {
        entry.at("name").text: entry.at("value").text
        for entry in container.at("env").items()
        if entry.at("value").exists
    }
    command = serve_command(container, has_engine_image=image.is_engine, environment=environment, release=known)
    if command is None:
        return None
    near = [each for each in around.objects if same_namespace(each, pod.object)]
    config = _config_file(pod, container, command, near)
    return Engine(
        pod=pod,
        container=container,
        image=image,
        command=command,
        flags={**(flags_of_config(config, known) if config else {}), **command.flags},
        has_all_flags=command.config is None or config is not None,
        version=version.removeprefix("v") if version else None,
        scalers=tuple(scaler for scaler in around.scalers if scaler.scales(pod.object)),
        services=tuple(
            each
            for each in near
            if each.kind == "Service" and plain_selector_matches(each.spec.at("selector"), pod.labels)
        ),
        budgets=tuple(
            each
            for each in near
            if each.kind == "PodDisruptionBudget" and selects(each.spec.at("selector"), pod.labels)
        ),
    )


def _config_file(
    pod: PodTemplate, container: Node, command: ServeCommand, near: Sequence[KubernetesObject]
) -> Node | None:
    """The root of the `--config` file, if it comes from a ConfigMap among the documents."""
    if command.config is None:
        return None
    path = PurePosixPath(command.config.text)
    for mount in container.at("volumeMounts").items():
        if not path.is_relative_to(mount.at("mountPath").text or "?"):
            continue
        volume = next((v for v in pod.spec.at("volumes").items() if v.at("name").text == mount.at("name").text), None)
        name = volume.at("configMap", "name").text if volume else ""
        for each in near:
            content = each.root.at("data", path.name)
            if each.kind == "ConfigMap" and each.name == name and content.exists:
                return parse_embedded(content).root
    return None
