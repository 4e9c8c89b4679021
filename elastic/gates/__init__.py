"""Gates: a number for each unit, learned beside the weights, that says whether the unit stays."""

from elastic.gates.gated import Gated as Gated
from elastic.gates.opening import OPENINGS as OPENINGS
from elastic.gates.opening import Gates as Gates
from elastic.gates.opening import Opening as Opening
from elastic.gates.price import Price as Price
