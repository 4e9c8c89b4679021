"""Precision gating: convolutions use the low bits of their inputs where what the high ones say is worth it."""

from elastic.dynamic.precision.gating import gate_precision as gate_precision
from elastic.dynamic.precision.layers import PrecisionGated as PrecisionGated
from elastic.dynamic.precision.layers import average_bits as average_bits
from elastic.dynamic.precision.layers import precision_gates as precision_gates
from elastic.dynamic.precision.network import precision_gated as precision_gated
from elastic.dynamic.precision.network import static_twin as static_twin
