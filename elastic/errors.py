"""Why we refuse: one class per reason.

Each is also the built-in that it refines, so that callers who know only the built-in still catch it. A message says
what was asked, what is true, and what to do.
"""

from typing import Any


class ElasticError(Exception):
    """What every refusal of this toolkit is; the command line prints it as one line."""


class UnknownName(ElasticError, LookupError):
    """A model, data set, criterion, level or option that nothing here goes by."""


class FileFormatError(ElasticError, ValueError):
    """Not an elastic file, or one that is damaged, hostile or of a newer version."""


class CheckpointMismatch(ElasticError, ValueError):
    """A state dict whose names or shapes are not those of the model."""


class InvalidWeights(ElasticError, ValueError):
    """Weights that are not finite numbers."""


class TargetError(ElasticError, ValueError):
    """A target that can't be read, or can't be reached."""


class NothingToPrune(ElasticError, RuntimeError):
    """A plan in which not a single unit can leave; `plan` says what holds each axis."""

    def __init__(self, message: str, plan: Any = None) -> None:
        super().__init__(message)
        self.plan = plan


class TraceError(ElasticError, RuntimeError):
    """A model that can't be run or followed at all."""


class PlanMismatch(ElasticError, ValueError):
    """Levels, scores or a state dict that don't belong to the plan."""


class CurvesMismatch(ElasticError, ValueError):
    """Losses that were measured of another network, otherwise, or not to the end."""


class LatencyMismatch(ElasticError, ValueError):
    """Times that were measured of another network, otherwise, on another machine, or not to the end."""


class RuntimeMissing(ElasticError, ImportError):
    """A runtime that isn't installed."""


class ShellMismatch(ElasticError, ValueError):
    """A shell that doesn't fit the tensor that it belongs to."""


class FitError(ElasticError, ValueError):
    """A module that can't take the shapes that a state dict asks for."""


class ProofFailed(ElasticError, RuntimeError):
    """Two networks or tensors that must be equal and are not."""


class LiveNetwork(ElasticError, TypeError):
    """A network that changes its size, where one of a fixed size is needed."""


class DataError(ElasticError, ValueError):
    """Data that are missing, damaged or not what the model takes."""


class PathError(ElasticError, OSError):
    """A file that can't be read or written."""


class OutputExists(ElasticError, FileExistsError):
    """A file that is in the way; nothing is overwritten unasked."""


class ComparisonMismatch(ElasticError, ValueError):
    """Runs in a file that were made otherwise than those that are asked for now."""


class ExportError(ElasticError, RuntimeError):
    """An exporter that failed, or whose result is not the network."""


class InvalidRecipe(ElasticError, ValueError):
    """A way to train that can't be followed."""


class TrainingMismatch(ElasticError, ValueError):
    """A training that was begun of another network, on other images or by another recipe."""


class InvalidBits(ElasticError, ValueError):
    """Bits of a quantised network that can't be read, or that no layer can have."""


class NotQuantised(ElasticError, TypeError):
    """A network without quantised layers, where one with some is needed."""


class GatedLevel(ElasticError, ValueError):
    """A level with gates that inputs decide, where one that always computes the same is needed."""


class NothingToGate(ElasticError, ValueError):
    """A network without layers that can be gated, or without gates, where some are needed."""


class MaskMismatch(ElasticError, ValueError):
    """A mask of gates, a base or weights that don't fit the convolution that is to be skipped."""


class CannotSkip(ElasticError, ValueError):
    """A gated network or layer that can't leave out what is behind closed gates."""


class InvalidReport(ElasticError, ValueError):
    """A report with parts that can't be shown, or can't be files of their own."""
