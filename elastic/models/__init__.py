"""Networks by name: a fixed registry, and the user's own factories on request."""

from elastic.models.registry import build, example_shape, from_spec, names

__all__ = ["build", "example_shape", "from_spec", "names"]
