"""Attending: channels that networks pay no attention to, learned by turns with the weights, and cut."""

from elastic.alternating import PRESETS as PRESETS
from elastic.alternating import Alternation as Alternation
from elastic.alternating import alternation_of as alternation_of
from elastic.attending.attended import Attended as Attended
from elastic.attending.attended import Attention as Attention
from elastic.attending.learning import Attending as Attending
from elastic.attending.learning import Goal as Goal
from elastic.attending.leaving import Leaving as Leaving
from elastic.attending.pruning import prune_by_attention as prune_by_attention
from elastic.attending.rounds import Round as Round
from elastic.attending.stages import Other as Other
from elastic.attending.stages import Stage as Stage
from elastic.attending.stages import made_by as made_by
