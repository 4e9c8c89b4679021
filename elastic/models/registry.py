"""Every network that a file may name: `elastic/NAME`, `torchvision/NAME`, `timm/NAME`, and nothing else.

A file is data and must be safe to open, so a name out of a file builds one of these networks with random weights: no
download, no import of anything but the three libraries. The user's own `package.module:factory` has a door of its own,
`from_spec`, which is only for what the user typed.
"""

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from elastic.errors import UnknownName
from elastic.models.alexnet import alexnet
from elastic.models.importing import import_callable
from elastic.models.linear_resnet import linear_resnet
from elastic.models.resnet import digits_resnet, padded_resnet, post_activation_resnet, projected_resnet
from elastic.models.self_pruning import self_pruning
from elastic.models.vgg import vgg
from elastic.models.wide_resnet import wide_resnet

Shape = tuple[int, int, int]

CIFAR: Shape = (3, 32, 32)
POSTS = (18, 20, 32, 56)

NETWORKS: dict[str, tuple[Callable[..., nn.Module], Shape]] = {
    **{f"elastic/resnet{depth}": (partial(padded_resnet, depth), CIFAR) for depth in (20, 32, 44, 56, 110)},
    **{f"elastic/resnet{depth}p": (partial(linear_resnet, depth), CIFAR) for depth in (8, 20)},
    "elastic/resnet18": (partial(projected_resnet, (64, 128, 256, 512), (2, 2, 2, 2)), CIFAR),
    "elastic/resnet34": (partial(projected_resnet, (64, 128, 256, 512), (3, 4, 6, 3)), CIFAR),
    **{f"elastic/resnet{depth}_post_activation": (partial(post_activation_resnet, depth), CIFAR) for depth in POSTS},
    "elastic/wrn16_1": (partial(wide_resnet, 16, 1), CIFAR),
    **{f"elastic/vgg{depth}_bn": (partial(vgg, depth), CIFAR) for depth in (6, 11, 13, 16, 19)},
    "elastic/alexnet": (alexnet, CIFAR),
    "elastic/self_pruning": (self_pruning, CIFAR),
    "elastic/digits_resnet": (digits_resnet, (1, 8, 8)),
}

# The arguments of the two libraries that fetch weights or read files. They come out of a file's header, too.
FETCHING = ("weights", "weights_backbone", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path")


def build(name: str, **arguments: Any) -> nn.Module:
    """Return the network of the registry that goes by `name`, in training mode, with random weights.

    All `elastic/` networks take `num_classes` and `in_channels`; those of torchvision and timm what their own builders
    take, but nothing that would fetch weights.

    Raises UnknownName, with the names that come close, for one that is not in the registry, and for an argument that
    the network does not take.
    """
    factory = _factory(name)
    if fetching := sorted(set(arguments) & set(FETCHING)):
        raise UnknownName(f"{name} is built with random weights and takes no {fetching[0]!r}; load weights afterwards")
    try:
        return factory(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        if not arguments:
            raise  # then it is not about what was asked
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise UnknownName(f"{name} can't be built with {given}: {error}") from error


def from_spec(spec: str, **arguments: Any) -> nn.Module:
    """Return `build(spec, ...)`, or what the user's own `package.module:factory` returns. Imports that module.

    Only for what the user typed: a spec out of a file belongs to `build`.
    """
    if ":" not in spec:
        return build(spec, **arguments)
    model = import_callable(spec)(**arguments)
    if not isinstance(model, nn.Module):
        raise UnknownName(f"{spec!r} returned a {type(model).__name__}, not a torch.nn.Module")
    return model


def names() -> list[str]:
    """Return the names of all `elastic/` and `torchvision/` networks. timm's thousand are in `timm.list_models()`."""
    return [*NETWORKS, *_torchvision_names()]


def example_shape(name: str) -> Shape:
    """Return [channels, height, width] of the image that the network was designed for.

    Raises UnknownName for a name that is not in the registry, or a network that does not take one image (video, flow).
    """
    _factory(name)
    family, _, rest = name.partition("/")
    if family == "torchvision":
        return _torchvision_shape(name, rest)
    if family == "timm":
        channels, height, width = _timm().get_pretrained_cfg(rest).input_size
        return channels, height, width
    return NETWORKS[name][1]


def _factory(name: str) -> Callable[..., nn.Module]:
    if ":" in name:
        raise UnknownName(
            f"{name!r} is no network of the registry, and code is never imported because a file names it: "
            f"the factory has to be given by the user (on the command line, or to elastic.models.from_spec)"
        )
    family, _, rest = name.partition("/")
    if family == "torchvision":
        return _torchvision_factory(name, rest)
    if family == "timm":
        return _timm_factory(name, rest)
    if name not in NETWORKS:
        raise _unknown(name, names())
    return NETWORKS[name][0]


def _torchvision_factory(name: str, rest: str) -> Callable[..., nn.Module]:
    if name not in _torchvision_names():
        raise _unknown(name, names())
    from torchvision import models  # takes a second or two to import

    builder = models.get_model_builder(rest)
    fixed: dict[str, Any] = {"weights": None}
    if "weights_backbone" in inspect.signature(builder).parameters:
        fixed["weights_backbone"] = None  # the default fetches ImageNet weights
    if rest.endswith(("googlenet", "inception_v3")):
        # Auxiliary classifiers serve training from scratch only, and their initialisation takes half a minute.
        fixed |= {"aux_logits": False, "init_weights": False}
    return partial(builder, **fixed)


def _torchvision_names() -> list[str]:
    from torchvision import models

    return [f"torchvision/{name}" for name in models.list_models()]


def _torchvision_shape(name: str, rest: str) -> Shape:
    from torchvision.models import get_model_weights

    if rest.startswith("vit_"):
        return 3, 224, 224  # the size is built in, and the default of vit_h_14 differs from that of its weights
    preset = get_model_weights(rest).DEFAULT.transforms()
    kind = type(preset).__name__
    if kind == "ObjectDetection":
        return 3, 320, 320  # they take any size; this is the least that their own presets use
    if kind not in ("ImageClassification", "SemanticSegmentation"):
        raise UnknownName(f"{name} does not take one [3, height, width] image; give an example input of your own")
    size = preset.crop_size[0] if kind == "ImageClassification" else preset.resize_size[0]
    return 3, size, size


def _timm_factory(name: str, rest: str) -> Callable[..., nn.Module]:
    timm = _timm()
    known = [*timm.list_models(), *timm.list_models(pretrained=True)]  # resnet50, and resnet50.a1_in1k
    if rest not in known:
        raise _unknown(name, [f"timm/{model}" for model in known])
    return partial(timm.create_model, rest, pretrained=False)


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise UnknownName("networks named timm/... need the timm package: pip install elastic-pruning[timm]") from None
    return timm


def _unknown(name: str, known: list[str]) -> UnknownName:
    """Compare without the family too: who asks for resnet56 should hear of elastic/resnet56."""
    bare = {candidate.partition("/")[2]: candidate for candidate in reversed(known)}
    last = name.rpartition("/")[2]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.75)
    close += [bare[match] for match in difflib.get_close_matches(last, bare, n=3, cutoff=0.75)]
    hint = f"close: {', '.join(list(dict.fromkeys(close))[:3])}" if close else "nothing comes close"
    return UnknownName(f"unknown model {name!r}; {hint}; elastic.models.names() lists all, timm.list_models() timm's")
