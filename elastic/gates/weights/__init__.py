"""Weight gates: one for each weight, which end as exact zeros that stay zero."""

from elastic.gates.weights.aim import Aim as Aim
from elastic.gates.weights.closing import Closing as Closing
from elastic.gates.weights.finalising import finalise as finalise
from elastic.gates.weights.finalising import magnitude_pruned as magnitude_pruned
from elastic.gates.weights.finishing import Finished as Finished
from elastic.gates.weights.finishing import finish as finish
from elastic.gates.weights.finishing import zeros_kept as zeros_kept
from elastic.gates.weights.gated import put_gates as put_gates
from elastic.gates.weights.gating import gate_weights as gate_weights
from elastic.gates.weights.results import Histogram as Histogram
from elastic.gates.weights.results import SparseNetwork as SparseNetwork
from elastic.gates.weights.results import Sparsity as Sparsity
from elastic.gates.weights.silencing import dead_units as dead_units
