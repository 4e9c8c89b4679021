"""Choose: from scores, costs and targets to a level for every unit."""

from elastic.allocation.bounds import Bounds as Bounds
from elastic.allocation.choosing import allocate as allocate
from elastic.allocation.choosing import least_cost as least_cost
from elastic.allocation.choosing import rank as rank
from elastic.allocation.choosing import smallest_first as smallest_first
from elastic.allocation.curves import Curve as Curve
from elastic.allocation.curves import allocate_by_curves as allocate_by_curves
from elastic.allocation.curves import smallest_first_by_curves as smallest_first_by_curves
from elastic.allocation.inserting import insert_level as insert_level
from elastic.allocation.ordering import Normalisation as Normalisation
from elastic.allocation.ordering import Scores as Scores
from elastic.allocation.programme import allocate_by_programme as allocate_by_programme
from elastic.allocation.scopes import Scope as Scope
from elastic.allocation.sums import Timing as Timing
from elastic.targets import Limited as Limited
from elastic.targets import Quantity as Quantity
