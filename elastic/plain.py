"""Plain: what goes by the places of units needs weights in the order of the file; a live network has another."""

from torch import nn

from elastic.errors import LiveNetwork

LIVE = "_elastic_class"  # of classes whose networks are live


def check_plain(model: nn.Module) -> None:
    """Raise LiveNetwork if the model is an `ElasticModel`."""
    if hasattr(type(model), LIVE):
        raise LiveNetwork(
            "a live network (of elastic.load) keeps its weights in an order of its own; give `net.plain()`, an "
            "ordinary copy of its level"
        )
