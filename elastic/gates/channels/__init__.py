"""Channel gates: one for each unit of a plan, with the plan's own cost as their price."""

from elastic.gates.channels.aims import Aim as Aim
from elastic.gates.channels.gated import Gated as Gated
from elastic.gates.channels.gating import gate_channels as gate_channels
from elastic.gates.channels.latency import LatencyPrice as LatencyPrice
from elastic.gates.channels.latency import LatencyTable as LatencyTable
from elastic.gates.channels.latency import read_latency_table as read_latency_table
from elastic.gates.channels.learning import Learning as Learning
from elastic.gates.channels.levelling import closing_stages as closing_stages
from elastic.gates.channels.price import Price as Price
from elastic.gates.channels.stages import Stage as Stage
from elastic.gating import PRESETS as PRESETS
from elastic.gating import Gating as Gating
from elastic.gating import gating_of as gating_of
