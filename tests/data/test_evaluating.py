import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from elastic import models
from elastic.data import Metrics, Preprocessing, evaluate, images_loader, load
from elastic.errors import DataError
from elastic.weights import load_weights, read_weights


def loader(logits, labels, batch_size=4):
    """With `nn.Identity()` for a model, the images are the logits."""
    return images_loader(TensorDataset(logits, labels), batch_size)


def test_counts_and_loss_equal_a_plain_loop():
    logits, labels = torch.randn(50, 10), torch.randint(0, 10, (50,))
    found = evaluate(nn.Identity(), loader(logits, labels))
    ranks = [sorted(row, reverse=True).index(row[label]) for row, label in zip(logits.tolist(), labels, strict=True)]
    assert (found.images, found.correct, found.correct_in_five) == (50, ranks.count(0), sum(r < 5 for r in ranks))
    assert math.isclose(found.loss, F.cross_entropy(logits.double(), labels).item(), rel_tol=1e-6)


def test_percentages_come_from_the_exact_counts():
    metrics = Metrics(images=911, correct=431, correct_in_five=664, loss=1.0)
    assert (metrics.top1, metrics.top5) == (43100 / 911, 66400 / 911)


def test_five_best_of_three_classes_are_all_of_them():
    assert evaluate(nn.Identity(), loader(torch.randn(8, 3), torch.randint(0, 3, (8,)))).top5 == 100


def test_every_module_gets_its_own_mode_back():
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3).eval())
    evaluate(model, loader(torch.randn(8, 3), torch.zeros(8, dtype=torch.long)))
    assert [module.training for module in model.modules()] == [True, True, False]


def test_evaluation_runs_in_eval_mode():
    logits = F.one_hot(torch.arange(10)).float()
    assert evaluate(nn.Dropout(0.9), loader(logits, torch.arange(10))).correct == 10


def test_progress_counts_images():
    seen = []
    evaluate(
        nn.Identity(),
        loader(torch.randn(10, 3), torch.zeros(10, dtype=torch.long)),
        progress=lambda *counts: seen.append(counts),
    )
    assert seen == [(4, 10), (8, 10), (10, 10)]


def test_a_label_without_an_output_is_refused():
    with pytest.raises(DataError, match="a label is 701, but the network has 10 outputs"):
        evaluate(nn.Identity(), loader(torch.randn(1, 10), torch.tensor([701])))


def test_a_network_that_is_no_classifier_is_refused():
    with pytest.raises(DataError, match=r"the network returns \[1, 3, 8, 8\], not logits"):
        evaluate(nn.Identity(), loader(torch.randn(1, 3, 8, 8), torch.tensor([0])))


def test_resnet20_is_right_as_often_as_measured_on_a_thousand_images(real_data):
    assert accuracy(real_data, "resnet20_cifar10", "elastic/resnet20", "cifar10", limit=1000) == 91.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checkpoint", "name", "source", "expected"),
    [
        ("resnet20_cifar10", "elastic/resnet20", "cifar10", 91.73),
        ("resnet32_cifar10", "elastic/resnet32", "cifar10", 92.63),
        ("resnet56_cifar10", "elastic/resnet56", "cifar10", 93.39),
        ("resnet8p_cifar10", "elastic/resnet8p", "cifar10", 89.59),
        ("resnet8p_cifar100", "elastic/resnet8p", "cifar100", 64.11),
        ("resnet20p_cifar100", "elastic/resnet20p", "cifar100", 69.69),
        ("wrn16_1_cifar10", "elastic/wrn16_1", "cifar10", 91.75),
        ("vgg6_bn_cifar10", "elastic/vgg6_bn", "cifar10", 88.19),
        ("squeezenet1_1_imagenet", "torchvision/squeezenet1_1", "imagefolder:imagenet-sample", 59.2),
        ("squeezenet1_1_imagenet", "torchvision/squeezenet1_1", "imagenette:imagenette-val500?classes=imagenet", 58.6),
        ("mobilenet_v2_imagenet", "torchvision/mobilenet_v2", "imagefolder:imagenet-sample", 78.4),
    ],
    ids=lambda value: value.partition("?")[0] if isinstance(value, str) else "",
)
def test_published_checkpoints_reach_their_published_accuracy(real_data, checkpoint, name, source, expected):
    assert accuracy(real_data, checkpoint, name, source) == expected


def accuracy(real_data, checkpoint, name, source, **options):
    path = real_data / "checkpoints" / f"{checkpoint}.safetensors"
    num_classes = {"cifar10": 10, "cifar100": 100}.get(source, 1000)
    model = models.build(name, num_classes=num_classes)
    load_weights(model, read_weights(path))
    preprocessing = Preprocessing.beside(path, Preprocessing.default(name))
    kind, _, folder = source.partition(":")
    images = load(f"{kind}:{real_data / folder}", train=False, preprocessing=preprocessing)
    return evaluate(model, images_loader(images, 250 if num_classes < 1000 else 50, **options)).top1
