"""Channel gates: one for each unit of a plan, with the plan's own cost as their price."""

from elastic.gates.channels.gated import Gated as Gated
from elastic.gates.channels.learning import Aim as Aim
from elastic.gates.channels.learning import Annealing as Annealing
from elastic.gates.channels.learning import Learning as Learning
from elastic.gates.channels.price import Price as Price
