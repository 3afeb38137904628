"""`flyball render`: the Kubernetes objects of a spec, as plain YAML."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flyball.cli.manifest_folder import folder_files, write_folder
from flyball.cli.plan_table import print_plan
from flyball.cli.rendering import rendered
from flyball.errors import UsageError
from flyball.manifests import to_yaml


def render(
    spec: Path,
    *,
    output: Annotated[Literal["yaml", "dir"], Parameter(name=["--output", "-o"])] = "yaml",
    to: Path | None = None,
    catalog: Path | None = None,
    vllm: Annotated[str | None, Parameter(name="--vllm")] = None,
) -> int:
    """Plan a spec and write its Kubernetes objects, each value that is not obvious with its reason.

    What a reviewer would object to is said on standard error. Exit code 1 if no plan meets the objective.

    Parameters
    ----------
    spec
        The spec file.
    output
        yaml: every object on standard output; dir: files with a kustomization, Helm values, and how to roll out.
    to
        The folder for -o dir. Files in it that flyball did not write are never touched.
    catalog
        A YAML file with your own `accelerators`, `clouds` and `machines`.
    vllm
        The version to deploy; by default that of kubernetes.image, else the newest.

    """
    if (output == "dir") != (to is not None):
        raise UsageError("-o dir and --to belong together", fix="for example: -o dir --to manifests")
    made = rendered(spec, catalog=catalog, vllm=vllm)
    if made.design is None:
        print_plan(made.spec, made.outcome, sys.stderr, why=False)
        return 1
    if to is None:
        print(to_yaml(made.manifests), end="")
    else:
        for name in write_folder(to, folder_files(made.manifests, made.side_files)):
            print(to / name)
    for concern in made.concerns:
        print(f"{concern.what}\n  {concern.fix}", file=sys.stderr)
    if to is None:
        names = ", ".join(made.side_files)
        print(f"{len(made.manifests)} objects; `-o dir` writes {names} too", file=sys.stderr)
    return 0
