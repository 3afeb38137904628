"""Kubernetes objects of a service: plain values with the reason for each that is not obvious. Pure."""

from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.yaml_text import to_yaml

__all__ = ["Because", "Manifest", "to_yaml"]
