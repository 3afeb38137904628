"""Manifests as a folder: files that flyball wrote may be written again, everything else in it is left alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flyball.errors import OutsideError, UsageError
from flyball.manifests import Manifest, to_yaml

MARK = "Written by `flyball render`; what is changed here is lost with the next one."
KUSTOMIZATION = "kustomization.yaml"
SECRETS = "secrets.yaml"


def folder_files(manifests: Sequence[Manifest], side_files: Mapping[str, str]) -> dict[str, str]:
    """Texts by name: the objects by file, a kustomization over them, and what is no object."""
    by_file: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        by_file.setdefault(manifest.file, []).append(manifest)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(by_file),
    }
    objects = {name: to_yaml(group) for name, group in by_file.items()}
    objects[KUSTOMIZATION] = to_yaml([Manifest(body=kustomization, file=KUSTOMIZATION)])
    return {name: _marked(name, text) for name, text in {**objects, **side_files}.items()}


def write_folder(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write all, or none; remove what an earlier render wrote and this one does not. Returns the names written.

    UsageError for a file of that name that flyball did not write.
    """
    for name in files:
        if (folder / name).exists() and not _is_ours(folder / name):
            raise UsageError(
                f"{folder / name} was not written by flyball", fix="choose another folder, or move the file away"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            new = folder / f".{name}.new"
            new.touch(mode=0o600 if name == SECRETS else 0o644)
            new.write_text(text, encoding="utf-8")
        for name in files:
            (folder / f".{name}.new").replace(folder / name)
        for path in folder.iterdir():
            if path.is_file() and path.name not in files and _is_ours(path):
                path.unlink()
    except OSError as error:
        raise OutsideError(f"cannot write {folder}: {error.strerror}", fix="choose another folder for --to") from error
    return sorted(files)


def _marked(name: str, text: str) -> str:
    """With a line that says who wrote it, where the file's kind has its comments."""
    if name.endswith(".md"):
        return f"<!-- {MARK} -->\n{text}"
    if text.startswith("#!"):
        first, _, rest = text.partition("\n")
        return f"{first}\n# {MARK}\n{rest}"
    return f"# {MARK}\n{text}"


def _is_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return any(MARK in file.readline() for _ in range(2))
    except (OSError, UnicodeDecodeError):
        return False
