"""Adaptive gates: each image opens those channels that it needs."""

from elastic.gates.adaptive.gated import AdaptiveGated as AdaptiveGated
from elastic.gates.adaptive.gating import Adapted as Adapted
from elastic.gates.adaptive.gating import gate_adaptively as gate_adaptively
from elastic.gates.adaptive.gating import measure as measure
