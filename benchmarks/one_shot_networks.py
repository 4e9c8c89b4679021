"""The checkpoints that `one_shot.py` prunes, with the images they are scored, repaired and tested on."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from elastic import models
from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.weights import load_weights, read_weights

Images = Dataset[tuple[Tensor, int]]
Accuracy = dict[str, float]  # percent, by the name of the test set

TEST_BATCH = 50


@dataclass(frozen=True)
class Case:
    """A checkpoint by the name of its file; `images` bounds what is asked for where images are large."""

    name: str
    network: str
    classes: int
    images: int = 1_000_000
    batch: int = 128


CASES = (
    Case("resnet20_cifar10", "elastic/resnet20", 10),
    Case("resnet8p_cifar10", "elastic/resnet8p", 10),
    Case("vgg6_bn_cifar10", "elastic/vgg6_bn", 10),
    Case("wrn16_1_cifar10", "elastic/wrn16_1", 10),
    Case("resnet8p_cifar100", "elastic/resnet8p", 100),
    Case("resnet20p_cifar100", "elastic/resnet20p", 100),
    Case("resnet32_cifar10", "elastic/resnet32", 10),
    Case("resnet56_cifar10", "elastic/resnet56", 10),
    Case("mobilenet_v2_imagenet", "torchvision/mobilenet_v2", 1000, images=256, batch=32),
)


def case_of(name: str) -> Case:
    """Return the case of a checkpoint."""
    return next(case for case in CASES if case.name == name)


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network, an image to trace it with, training images, and test images by the name of their set."""

    model: nn.Module
    example: Tensor  # [1, c, h, w]
    training: Images
    tests: dict[str, TensorDataset]

    def batches(self, images: int, batch: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
        """Return a random choice of training images with their labels, always the same for a seed."""
        return [(x, y) for x, y in images_loader(self.training, batch, limit=images, seed=seed)]

    def accuracy(self, network: nn.Module) -> Accuracy:
        """Return top-1 on all images of each test set."""
        return {name: top1(network, images) for name, images in self.tests.items()}

    def some(self, count: int) -> Images:
        """Return some of the test images, a random choice that is always the same."""
        everything: Images = ConcatDataset(self.tests.values())
        chosen = torch.randperm(len(everything), generator=torch.Generator().manual_seed(0))[:count]
        return Subset(everything, chosen.tolist())


def top1(network: nn.Module, images: Images) -> float:
    """Return percent. The network's weights change their order in memory, with which it is half as fast again."""
    return evaluate(network.to(memory_format=torch.channels_last), images_loader(images, TEST_BATCH)).top1


def macs_of(network: nn.Module, example: Tensor) -> int:
    """Return what torch's flop counter counts, halved."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(example)
    return counter.get_total_flops() // 2


def opened(case: Case, weights: Path | None = None) -> Subject:
    """Return the checkpoint of a case, or other weights, and its images, from the folder ELASTIC_DATA."""
    folder = Path(os.environ["ELASTIC_DATA"])
    weights = weights or folder / "checkpoints" / f"{case.name}.safetensors"
    model = models.build(case.network, num_classes=case.classes).eval()
    load_weights(model, read_weights(weights))
    preprocessing = Preprocessing.beside(weights, Preprocessing.default(case.network))
    if case.name.endswith("imagenet"):
        pad_right_and_bottom(model)
        training, tests = _imagenet(folder, preprocessing)
    else:
        spec = f"{case.name.rpartition('_')[2]}:{folder}"
        training = load(spec, train=True, preprocessing=preprocessing)
        tests = {"test": load(spec, train=False, preprocessing=preprocessing)}
    example = torch.zeros(1, preprocessing.channels, preprocessing.size, preprocessing.size)
    return Subject(model, example, training, {name: _in_memory(images) for name, images in tests.items()})


def pad_right_and_bottom(model: nn.Module) -> None:
    """Change 3x3 convolutions of stride 2 to pad as TensorFlow does, with which this checkpoint was trained."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and child.stride == (2, 2) and child.padding == (1, 1):
                child.padding = (0, 0)
                setattr(parent, name, nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), child))


def _imagenet(folder: Path, preprocessing: Preprocessing) -> tuple[Images, dict[str, Images]]:
    """Return the sample, one image a class, whose folders are all classes in label order, and two other sets."""
    order = Path("build/imagenet_classes.txt")
    order.parent.mkdir(parents=True, exist_ok=True)
    order.write_text("\n".join(sorted(path.name for path in (folder / "imagenet-sample").iterdir())))

    def of(name: str) -> Images:
        return load(f"imagefolder:{folder / name}?classes={order}", train=False, preprocessing=preprocessing)

    return of("imagenet-sample"), {name: of(name) for name in ("imagenette-val500", "nips17-dev")}


def _in_memory(images: Images) -> TensorDataset:
    """Decode once what is looked at many times."""
    parts: Iterator[tuple[Tensor, Tensor]] = iter(images_loader(images, 500))
    pixels, labels = zip(*parts, strict=True)
    return TensorDataset(torch.cat(pixels), torch.cat(labels))
