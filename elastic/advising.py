"""What would have to change in a network so that a reason of tracing's no longer holds.

One line for each reason that tracing gives; `tests/test_diagnosing.py` reads them off its source and finds the ones
that are missing. A reason that isn't here gets no advice: better none than a guess.
"""

import re

FROM_THE_TENSOR = (
    "take the size from the tensor's shape, or keep it as an int attribute of the module, which a cut sets"
)
OTHER_ENGINE = "trace with --engine elastic, which follows more"
OTHER_AXIS = "lay the channels on another axis than the one that `{0}` runs over"

NATURAL = (
    (r"it is the network's output", "nothing: whoever calls the network counts on this width"),
    (r"it is the network's input(?: in `\w+`)?", "nothing: whoever calls the network gives this width"),
)

# Reason, whole, and what helps; {0} is the first group of the pattern.
ADVICE = (
    (r"the pattern (.+) asks for it", "leave out --freeze {0}"),
    (r"nothing uses it on this input", "trace with an example that runs it; delete it if none does"),
    (r"operation `(\w+)` has no rule", "write it with other operations, or add a rule for `{0}` (docs/tracing.md)"),
    # Sizes in code.
    (r"its axis is taken apart by a constant in `\w+`", FROM_THE_TENSOR),
    (r"parts of constant size are taken of it in `\w+`", f"use chunk; or {FROM_THE_TENSOR}"),
    (r"the network doesn't run without some of it: .*", f"the code there counts on the width: {FROM_THE_TENSOR}"),
    (r"`\w+` makes .* of it where .* would be left", f"the code there counts on the width: {FROM_THE_TENSOR}"),
    (r"a constant in `\w+` follows the width", "compute that number once, in __init__, and keep it as an attribute"),
    (r"the network takes (?:another|a shorter) way when it is cut", "decide there by an attribute, not by a width"),
    (r"`\w+` meets other channels once some have left", "take parts with chunk, or with sizes from the tensor's shape"),
    (r"it is cropped by a constant in `\w+`", "crop with a slice whose ends are taken from the tensor's shape"),
    # Positions that count.
    (r"(?:one position of it is picked by its number|its positions go different ways) in `(\w+)`", OTHER_AXIS),
    (
        r"its positions are picked by their numbers in `\w+`",
        "pick with chunk, view or transpose: numbers don't follow a cut",
    ),
    (r"it is shifted by a constant in `(\w+)`", OTHER_AXIS),
    (r"windows of constant size are taken of it in `(\w+)`", OTHER_AXIS),
    (r"places are read off it in `(\w+)`", "nothing: a grid's coordinates are no channels"),
    (r"its positions count in `(\w+)`", OTHER_AXIS),
    (r"two axes of channels become one in `\w+`", "keep the two axes apart until a layer has summed over one of them"),
    (r"`as_strided` can't be followed", "write it with view, permute and slices"),
    (r"a (convolution) runs over it", OTHER_AXIS),
    (r"`(\w*softmax|softmax)` is taken over it", OTHER_AXIS),
    (r"(softmax) is taken over it", OTHER_AXIS),
    (
        r"`(sum|nansum)` is taken over it",
        "keep zeros zero up to `{0}`: ReLU, GELU, SiLU, not sigmoid or an added number",
    ),
    (r"`(\w+)` is taken over it", OTHER_AXIS),
    (
        r"`(\w+)` sums over it, and it isn't zero where its weights are",
        "keep zeros zero up to `{0}`: ReLU, GELU, SiLU, not sigmoid or an added number",
    ),
    # Norms and attention.
    (
        r"LayerNorm over \d+ axes",
        "give the norm one weight a channel: LayerNorm over the channels, or GroupNorm(1, ..)",
    ),
    (r"a norm over it has no weights", "give the norm weights: elementwise_affine=True, affine=True"),
    (r"a norm is taken over it", "lay the channels on another axis than the one that the norm runs over"),
    (r"a norm takes statistics over it", "lay the channels on the second axis, which the norm keeps apart"),
    (r"attention's scale follows it", "pass scale= to the attention, computed once in __init__"),
    (
        r"MultiheadAttention can't be followed",
        "write it as Linear layers around F.scaled_dot_product_attention, sizes as int attributes of the module",
    ),
    (r"(?:RNN|LSTM|GRU)(?:Cell)? can't be followed", "nothing yet: put a Linear before it to free what leads into it"),
    # What it meets.
    (
        r"it meets (?:an axis of fixed size|what never leaves)(?: in `\w+`)?",
        "it can leave only with what it meets there, and that is fixed: free that, if it holds channels",
    ),
    (
        r"its one channel (?:meets many|becomes many|becomes none) in `\w+`",
        "nothing: the layer has no channel to spare",
    ),
    # Trials.
    (
        r"the network could not be cut as it was followed, in \d+ trials",
        "not known: please report the network; --engine torch-pruning may cut some of it",
    ),
    (
        r"(?:removing some of it is not the same as zeroing it|the output changes its shape)",
        "not known: the trial shows that it was followed wrongly; please report the network",
    ),
    # Of the torch-pruning engine only.
    (r"it meets an axis of another length", OTHER_ENGINE),
    (r"its one channel meets many", OTHER_ENGINE),
    (r"torch-pruning can't say where its channels go", OTHER_ENGINE),
    (r"a concatenation with the network's input can't be followed", OTHER_ENGINE),
    (r"operation \w+ can't be followed", OTHER_ENGINE),
    (r"no channel that could be followed leads to it", OTHER_ENGINE),
    (r"a parametrized weight", OTHER_ENGINE),
)


def is_natural(reason: str) -> bool:
    """Return whether a reason is that of the network's own input or output, which no change would free."""
    return any(re.fullmatch(pattern, reason) for pattern, _ in NATURAL)


def advise(reason: str) -> str:
    """Return what would have to change for a reason without its place, empty where that isn't known."""
    for pattern, advice in (*NATURAL, *ADVICE):
        if match := re.fullmatch(pattern, reason):
            return advice.format(*match.groups())
    return ""
