"""Quantise: weights and inputs of few bits, trained, folded, run in integers, packed."""

from elastic.quantise.activations import Ranges as Ranges
from elastic.quantise.aligning import aligned as aligned
from elastic.quantise.bits import Bits as Bits
from elastic.quantise.bits import bits_of as bits_of
from elastic.quantise.bits import parse_bits as parse_bits
from elastic.quantise.folding import folded as folded
from elastic.quantise.integers import in_integers as in_integers
from elastic.quantise.layers import left_float as left_float
from elastic.quantise.layers import quantised_layers as quantised_layers
from elastic.quantise.network import asked_bits as asked_bits
from elastic.quantise.network import check_kinds as check_kinds
from elastic.quantise.network import plan_of as plan_of
from elastic.quantise.network import quantised as quantised
from elastic.quantise.network import settled as settled
from elastic.quantise.network import unquantised as unquantised
from elastic.quantise.outcomes import LayerOutcome as LayerOutcome
from elastic.quantise.outcomes import Outcome as Outcome
from elastic.quantise.outcomes import layer_outcomes as layer_outcomes
from elastic.quantise.packing import load_packed as load_packed
from elastic.quantise.packing import packed_size as packed_size
from elastic.quantise.packing import packed_state as packed_state
from elastic.quantise.quantising import quantise as quantise
from elastic.quantise.weights import WeightSteps as WeightSteps
