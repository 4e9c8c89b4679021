"""Dynamic: what each input decides to be computed in full, and what was spent on it."""

from elastic.dynamic.counting import Spent as Spent
from elastic.dynamic.counting import in_all as in_all
from elastic.dynamic.counting import reset as reset
from elastic.dynamic.counting import spent as spent
from elastic.dynamic.curves import Point as Point
from elastic.dynamic.curves import curve as curve
from elastic.dynamic.heat import heat_maps as heat_maps
