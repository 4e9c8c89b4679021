"""Prune a network, keep what was cut, put it back bit for bit.

Names are imported when they are first used, so that reading a file needs no torch and the command line starts at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

from elastic.version import VERSION as __version__

if TYPE_CHECKING:
    from elastic.allocation import allocate as allocate
    from elastic.attending import prune_by_attention as prune_by_attention
    from elastic.checkpoint import load_state as load_state
    from elastic.checkpoint import save as save
    from elastic.comparing import compare as compare
    from elastic.costs import CostModel as CostModel
    from elastic.cutting import cut as cut
    from elastic.cutting import regrow as regrow
    from elastic.cutting import shells as shells
    from elastic.deploying import deploy as deploy
    from elastic.drawing import draw as draw
    from elastic.dynamic.channel import gate_channels_dynamically as gate_channels_dynamically
    from elastic.dynamic.precision import gate_precision as gate_precision
    from elastic.dynamic_levels import gate_levels_dynamically as gate_levels_dynamically
    from elastic.errors import ElasticError as ElasticError
    from elastic.exporting import export as export
    from elastic.file_report import report as report
    from elastic.fitting import fit as fit
    from elastic.gates.channels import gate_channels as gate_channels
    from elastic.gates.weights import gate_weights as gate_weights
    from elastic.importance import score as score
    from elastic.plan import Plan as Plan
    from elastic.planned import load_plan as load_plan
    from elastic.pruning import Pruned as Pruned
    from elastic.pruning import prune as prune
    from elastic.quantising import quantise_levels as quantise_levels
    from elastic.runtime import ElasticModel as ElasticModel
    from elastic.runtime import load as load
    from elastic.sensitivity import measure_curves as measure_curves
    from elastic.sensitivity import read_curves as read_curves
    from elastic.soft_pruning import soft_prune as soft_prune
    from elastic.sparse_storage import load_sparse as load_sparse
    from elastic.sparse_storage import save_sparse as save_sparse
    from elastic.tracing import trace as trace
    from elastic.widths import load_width as load_width

HOMES = {
    "allocate": "elastic.allocation",
    "prune_by_attention": "elastic.attending",
    "load_state": "elastic.checkpoint",
    "save": "elastic.checkpoint",
    "compare": "elastic.comparing",
    "CostModel": "elastic.costs",
    "cut": "elastic.cutting",
    "regrow": "elastic.cutting",
    "shells": "elastic.cutting",
    "deploy": "elastic.deploying",
    "draw": "elastic.drawing",
    "gate_channels_dynamically": "elastic.dynamic.channel",
    "gate_precision": "elastic.dynamic.precision",
    "gate_levels_dynamically": "elastic.dynamic_levels",
    "ElasticError": "elastic.errors",
    "export": "elastic.exporting",
    "report": "elastic.file_report",
    "fit": "elastic.fitting",
    "gate_channels": "elastic.gates.channels",
    "gate_weights": "elastic.gates.weights",
    "score": "elastic.importance",
    "nest": "elastic.nesting",
    "Plan": "elastic.plan",
    "load_plan": "elastic.planned",
    "Pruned": "elastic.pruning",
    "prune": "elastic.pruning",
    "quantise_levels": "elastic.quantising",
    "ElasticModel": "elastic.runtime",
    "load": "elastic.runtime",
    "measure_curves": "elastic.sensitivity",
    "read_curves": "elastic.sensitivity",
    "soft_prune": "elastic.soft_pruning",
    "load_sparse": "elastic.sparse_storage",
    "save_sparse": "elastic.sparse_storage",
    "trace": "elastic.tracing",
    "load_width": "elastic.widths",
}
__all__ = ["__version__", *HOMES]  # all of them are strings


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'elastic' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
