"""The models that the benchmarks go through, each in two sizes: the image that it was made for, and a small one.

All classification and segmentation models of torchvision, backbones of its detectors, and timm's of `zoo_timm.py`.
Nothing is downloaded: weights are random.
"""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import detection, get_model, get_model_weights, list_models, segmentation
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from zoo_timm import FAMILIES, LARGER, TOLD_THE_SIZE

CLASSIFICATION, SEGMENTATION, DETECTION, TIMM = "classification", "segmentation", "detection backbones", "timm"
SUITES = {
    CLASSIFICATION: "torchvision, classification",
    SEGMENTATION: "torchvision, segmentation",
    DETECTION: "torchvision, backbones of detectors",
    TIMM: "timm",
}
SMALL = 64  # pixels a side: two by two are left after five strides of two

# They give a dictionary of feature maps, whose widths must stay as they are.
BACKBONES = {
    "resnet50_fpn": 800,  # norms of buffers alone, and layers that are not trained: what detectors are tuned with
    "fasterrcnn_resnet50_fpn": 800,
    "fasterrcnn_resnet50_fpn_v2": 800,
    "fasterrcnn_mobilenet_v3_large_fpn": 800,
    "retinanet_resnet50_fpn_v2": 800,
    "fcos_resnet50_fpn": 800,
    "ssd300_vgg16": 300,
    "ssdlite320_mobilenet_v3_large": 320,
}
GIANTS = {"regnet_y_128gf": 21, "vit_h_14": 21}  # GiB: 645 and 633 million parameters, several times in float64


@dataclass(frozen=True)
class Case:
    """One model of the list."""

    suite: str
    family: str
    model: str

    @property
    def name(self) -> str:
        """What the model goes by on the command line and in the tables."""
        return f"{'timm' if self.suite == TIMM else 'torchvision'}/{self.model}"

    @property
    def memory(self) -> int:
        """Return how many GiB the model's own process may take."""
        return GIANTS.get(self.model, 10)

    def build(self, *, small: bool = False) -> tuple[nn.Module, Tensor]:
        """Return the model in eval mode and an image [1, 3, side, side]: of its own size, or as small as it takes."""
        torch.manual_seed(0)
        build = {CLASSIFICATION: _classification, SEGMENTATION: _segmentation, DETECTION: _detection, TIMM: _timm}
        model, side = build[self.suite](self.model, small)
        return model.eval(), torch.randn(1, 3, side, side)


def cases() -> list[Case]:
    """Return the whole list."""
    return [
        *(Case(CLASSIFICATION, "", name) for name in list_models(module=torchvision.models)),
        *(Case(SEGMENTATION, "", name) for name in list_models(module=segmentation)),
        *(Case(DETECTION, "", name) for name in BACKBONES),
        *(Case(TIMM, family, name) for family, names in FAMILIES.items() for name in names.split()),
    ]


def chosen(patterns: Sequence[str]) -> list[Case]:
    """Return the cases that a pattern matches (`resnet50`, `timm/*`, a suite); all of them if there is no pattern."""
    known = cases()
    for pattern in patterns:
        if not any(_matches(case, pattern) for case in known):
            raise SystemExit(f"no model of the list matches {pattern!r}")
    return [case for case in known if not patterns or any(_matches(case, pattern) for pattern in patterns)]


def _matches(case: Case, pattern: str) -> bool:
    bare = case.model if case.suite != TIMM else case.name  # resnet50 is torchvision's
    return pattern in (case.suite, bare) or fnmatch.fnmatch(case.name, pattern)


def _classification(name: str, small: bool) -> tuple[nn.Module, int]:
    side = get_model_weights(name).DEFAULT.transforms().crop_size[0]
    if small:
        # MaxViT's windows must tile every map, so it takes no smaller image.
        side = {"inception_v3": 96, "vit_h_14": 56, "maxvit_t": 224}.get(name, SMALL)
    options: dict[str, Any] = {"image_size": side} if name.startswith("vit_") else {}
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": False}  # it takes half a minute; the heads that only training uses stay on
    return get_model(name, weights=None, **options), side


def _segmentation(name: str, small: bool) -> tuple[nn.Module, int]:
    options = {} if name.startswith("lraspp") else {"aux_loss": True}  # a second output, as the checkpoints have
    return get_model(name, weights=None, weights_backbone=None, **options), SMALL if small else 520


def _detection(name: str, small: bool) -> tuple[nn.Module, int]:
    if name == "resnet50_fpn":
        backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None)
    else:
        backbone = getattr(detection, name)(weights=None, weights_backbone=None).backbone
    least = 300 if name == "ssd300_vgg16" else 2 * SMALL  # SSD pools its last map to nothing if it is smaller
    return backbone, least if small else BACKBONES[name]


def _timm(name: str, small: bool) -> tuple[nn.Module, int]:
    if not small:
        return timm.create_model(name, pretrained=False), timm.get_pretrained_cfg(name).input_size[-1]
    side = LARGER.get(name, SMALL)
    options = {"img_size": side} if name in TOLD_THE_SIZE else {}
    return timm.create_model(name, pretrained=False, **options), side
