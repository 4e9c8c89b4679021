"""Labels by following a run: (twin, example) -> which positions leave together. The default source.

Cells travel with the tensors of one run on the meta device. What that run can't tell, which part of an axis leaves
where a network takes it apart, is chosen, and the choice is tried: the network is cut and run again
(`checking.py`). What fails gets another choice, or a number that a module keeps is put right, or it is frozen.
"""

import logging
from collections.abc import Callable

from torch import nn

from elastic.errors import TraceError
from elastic.tracing.following.search import Search
from elastic.tracing.following.subject import Subject
from elastic.tracing.labels import Labels
from elastic.tracing.twin import Example, place

log = logging.getLogger(__name__)


def labels_by_following(twin: nn.Module, example: Example, real: Callable[[], nn.Module]) -> Labels:
    """Return labels for the twin's axes, by state-dict name.

    `real` makes a copy with values, for a network whose code looks at them.

    Raises TraceError if the network doesn't run on the example.
    """
    try:
        return Search(Subject(twin, place(example, "meta"))).labels()
    except TraceError as reason:
        log.info("%s; it is run on the CPU, with values", reason)
        try:
            return Search(Subject(real(), place(example, "cpu"))).labels()
        except TraceError:
            raise reason from None  # which names what is wrong with the example
