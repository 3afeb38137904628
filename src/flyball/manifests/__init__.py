"""Kubernetes objects of a service: plain values with the reason for each that is not obvious. Pure.

`ServiceDesign` holds what they depend on; `render` turns it into `Manifest`s, `to_yaml` those into text, `side_files`
tells what is no object; `concerns` says what a reviewer would object to.
"""

from flyball.manifests.concerns import Concern, concerns
from flyball.manifests.design import ServiceDesign
from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.rendering import render, side_files
from flyball.manifests.yaml_text import to_yaml

__all__ = ["Because", "Concern", "Manifest", "ServiceDesign", "concerns", "render", "side_files", "to_yaml"]
