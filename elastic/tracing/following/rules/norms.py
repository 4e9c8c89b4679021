"""Norms: channels pass with their weights; statistics over channels are those of the channels that stay."""

import math

from elastic.plan import IntArray
from elastic.tracing.following.call import Call
from elastic.tracing.following.followed import Followed
from elastic.tracing.following.rules.registry import rule, shape


@rule(
    "native_batch_norm", "batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training", "_native_batch_norm_legit_functional", "_batch_norm_with_update",
    "_batch_norm_no_update", "_batch_norm_with_update_functional",
)  # fmt: skip
def batch_norm(call: Call) -> list[Followed]:
    """[N, C, ..]: one norm for each channel.

    With statistics of its own input (a standardised weight, an instance norm) other axes may not lose anything, but
    for a weight's, which is then standardised over what stays of it.
    """
    followed = call.of(call["input"])
    if 1 in followed.axes:
        for name in ("weight", "bias", "running_mean", "running_var"):
            if call[name] is not None:
                call.book.adopt(call[name], 0, followed.axes[1])
    affine = [call.of(call[name]) for name in ("weight", "bias")]
    running = [call.of(call[name]) for name in ("running_mean", "running_var")]
    axes = dict(followed.axes)
    uses_input = bool(call["training"]) and "no_training" not in call.name
    if uses_input:
        for dim in set(axes) - {1}:
            if not (followed.weight and followed.vanishes):
                call.freeze(axes.pop(dim), "a norm takes statistics over it")
    for each in (*affine, *running):
        _weigh(call, axes, 1, each)
    has_affine = all(each.axes for each in affine)
    is_zero = has_affine or (uses_input and followed.vanishes and not affine[1].axes)
    return [Followed(axes, is_zero, weight=followed.weight)]


@rule("native_layer_norm", "layer_norm", "_fused_rms_norm", "rms_norm")
def layer_norm(call: Call) -> list[Followed]:
    """[.., C] with weights [C]; over several axes at once nothing can leave."""
    followed, rank = call.of(call["input"]), call["input"].dim()
    lengths = call["normalized_shape"]
    over = set(range(rank - len(lengths), rank))
    axes = dict(followed.axes)
    params = [call.of(call[name]) for name in ("weight", "bias") if call[name] is not None]
    if len(lengths) != 1 or not params:
        why = f"LayerNorm over {len(lengths)} axes" if params else "a norm over it has no weights"
        for dim in over & set(axes):
            call.freeze(axes.pop(dim), why)
        for each in params:
            call.freeze_all(each, why)
    for each in params if len(lengths) == 1 else ():
        _weigh(call, axes, rank - 1, each)
    return [Followed(axes, bool(params))]


@rule("native_group_norm", "group_norm")
def group_norm(call: Call) -> list[Followed]:
    """[N, C, ..] in groups: a group leaves as a whole, but for one group, whose statistics are of what stays."""
    followed = call.of(call["input"])
    groups = int(call["group"] if call["group"] is not None else call["num_groups"])
    params = [call.of(call[name]) for name in ("weight", "bias") if call[name] is not None]
    axes = dict(followed.axes)
    for dim in set(axes) - {1}:
        call.freeze(axes.pop(dim), "a norm takes statistics over it")
    for each in params:
        _weigh(call, axes, 1, each)
    if 1 in axes and not params and shape(call["input"])[1] > 1:
        call.freeze(axes.pop(1), "a norm over it has no weights")  # which would tell how many groups are left
    elif 1 in axes and groups > 1:
        call.couple_rows(axes[1].reshape(groups, -1))
    return [Followed(axes, bool(params))]


@rule("_weight_norm_interface", "_weight_norm")
def weight_norm(call: Call) -> list[Followed]:
    """A weight over its own length: what is zero doesn't count."""
    weight, gain = call.of(call.args[0]), call.of(call.args[1])
    dim = int(call["dim"])
    axes = dict(weight.axes)
    for axis, cells in gain.axes.items():
        if call.meet(axes.get(axis), cells) is None:
            axes.pop(axis, None)
    for axis in set(axes) - set(gain.axes) if dim in axes else ():
        if not weight.vanishes:
            call.freeze(axes.pop(axis), "a norm is taken over it")
    return [Followed(axes, weight.vanishes, weight=weight.weight)]


@rule("linalg_vector_norm", "norm")
def vector_norm(call: Call) -> Followed:
    """Sums of powers: what is zero doesn't count."""
    followed, rank = call.of(call.args[0]), call.args[0].dim()
    order = call["ord"] if call["ord"] is not None else 2
    given = call["dim"]
    dims = set(range(rank)) if not given else {d % rank for d in ([given] if isinstance(given, int) else given)}
    counts = not (isinstance(order, int | float) and 0 < order < math.inf)
    return reduced(call, followed, dims, bool(call["keepdim"]), needs_zero=True, never=counts)


def reduced(
    call: Call, followed: Followed, dims: set[int], keep: bool, *, needs_zero: bool, never: bool = False
) -> Followed:
    """Return what is left when axes are reduced; over units only where those that left would have added nothing."""
    for dim in dims & set(followed.axes):
        cells = followed.axes[dim]
        if never or (needs_zero and not followed.vanishes):
            call.freeze(cells, f"`{call.name}` is taken over it")
    left = [dim for dim in range(call.args[0].dim()) if keep or dim not in dims]
    axes = {new: followed.axes[old] for new, old in enumerate(left) if old in followed.axes and old not in dims}
    return Followed(axes, followed.vanishes, weight=followed.weight)


def _weigh(call: Call, axes: dict[int, IntArray], dim: int, params: Followed) -> None:
    """Change `axes` so that a vector of parameters and the channels that it belongs to are one."""
    if 0 in params.axes and call.meet(axes.get(dim), params.axes[0]) is None:
        axes.pop(dim, None)
