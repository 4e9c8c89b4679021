"""Tensors that come from nowhere: filled with one number, drawn at random, or counted.

What is filled with one number takes on whatever it meets, as far as its size follows; what counts positions is fixed.
"""

from elastic.tracing.following.call import Call
from elastic.tracing.following.followed import Followed
from elastic.tracing.following.rules.registry import rule, shape

EVEN = (
    "zeros", "ones", "full", "empty", "rand", "randn", "new_zeros", "new_ones", "new_full", "new_empty",
    "empty_strided", "new_empty_strided", "scalar_tensor",
)  # fmt: skip


@rule(*EVEN)
def even(call: Call) -> Followed:
    """Give every axis cells of its own."""
    is_zero = call.name in ("zeros", "new_zeros") or (call.name in ("full", "new_full") and call["fill_value"] == 0)
    return Followed({dim: call.new(size) for dim, size in enumerate(shape(call.out)) if size > 1}, is_zero)


@rule(*(f"{name}_like" for name in ("zeros", "ones", "full", "empty", "rand", "randn")))
def even_like(call: Call) -> Followed:
    """Give axes the cells of the tensor whose shape was taken."""
    followed = call.of(call.args[0])
    return Followed(followed.axes, call.name == "zeros_like" or (call.name == "full_like" and call.args[1] == 0))


@rule("fill", "zero", "bernoulli_", "uniform", "normal", "exponential", "random", "bernoulli")
def fill(call: Call) -> Followed:
    """Pass axes; only zeros are zero."""
    is_zero = call.name == "zero" or (call.name == "fill" and call.args[1] == 0)
    followed = call.of(call.args[0])
    return Followed(followed.axes, is_zero)


@rule("arange", "linspace", "logspace", "eye", "tril_indices", "triu_indices", "randperm", "randint", "hann_window")
def counted(call: Call) -> None:
    """Fix what counts."""
    return


@rule("tril", "triu", "cumsum", "cumprod")
def positional(call: Call) -> Followed:
    """Fix axes whose positions count: the last two, or the one that is summed up."""
    followed, rank = call.of(call.args[0]), call.out.dim()
    dims = {rank - 1, rank - 2} if call.name in ("tril", "triu") else {int(call.args[1]) % rank}
    return call.without(followed, dims, f"its positions count in `{call.name}`")
