"""Pools, sums, means, softmax: axes of space and batch may go, an axis of channels only where nothing would change."""

from elastic.tracing.following.call import Call
from elastic.tracing.following.followed import Followed
from elastic.tracing.following.rules.elementwise import elementwise
from elastic.tracing.following.rules.norms import reduced
from elastic.tracing.following.rules.registry import rule

POOLS = (
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d",
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "adaptive_max_pool3d", "mkldnn_adaptive_avg_pool2d",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact2d",
    "upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
    "replication_pad1d", "replication_pad2d", "replication_pad3d", "grid_sampler_2d", "grid_sampler_3d",
)  # fmt: skip


@rule(*POOLS)
def pool(call: Call) -> Followed:
    """[N, C, ..]: space changes its size, whatever it is; batch and channels stay."""
    followed = call.of(call.args[0])
    if "grid" in call.name:
        call.freeze_all(call.of(call.args[1]), "places are read off it in `grid_sampler`")
    spatial = 2 if "2d" in call.name else 3 if "3d" in call.name else 1
    rank = call.args[0].dim()
    kept = call.without(followed, set(range(rank - spatial, rank)), f"`{call.name}` is taken over it")
    return Followed(kept.axes, followed.vanishes)


@rule(
    "sum", "mean", "amax", "amin", "max", "min", "var", "std", "var_mean", "std_mean", "prod", "any", "all",
    "logsumexp", "argmax", "argmin", "median", "nansum",
)  # fmt: skip
def reduce(call: Call) -> Followed:
    """A sum over units needs zeros where they leave; a mean, a maximum, a variance count them."""
    followed, rank = call.of(call.args[0]), call.args[0].dim()
    if call.name in ("max", "min") and len(call.tensors()) == 2:  # of two tensors, element by element
        return elementwise(call)
    given = call["dim"]
    dims = set(range(rank)) if given is None or given == [] else {d % rank for d in _listed(given)} if rank else set()
    is_sum = call.name in ("sum", "nansum")
    result = reduced(call, followed, dims, bool(call["keepdim"]), needs_zero=is_sum, never=not is_sum)
    if call.name not in ("sum", "nansum", "mean", "amax", "amin", "max", "min", "std", "var"):
        result = Followed(result.axes)
    return result


@rule("_softmax", "_log_softmax", "softmax", "log_softmax", "_safe_softmax", "logcumsumexp", "sort", "topk", "flip_")
def softmax(call: Call) -> Followed:
    """Over an axis that nothing leaves."""
    followed, rank = call.of(call.args[0]), call.args[0].dim()
    dim = int(call["dim"] if call["dim"] is not None else -1) % max(1, rank)
    return Followed(call.without(followed, {dim}, f"`{call.name}` is taken over it").axes)


def _listed(dims: int | list[int]) -> list[int]:
    return [dims] if isinstance(dims, int) else list(dims)
