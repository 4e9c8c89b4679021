"""Gates: numbers learned beside the weights that say what stays: each unit (`channels`), or each weight (`weights`)."""

from elastic.gates.opening import OPENINGS as OPENINGS
from elastic.gates.opening import Gates as Gates
from elastic.gates.opening import Opening as Opening
