"""Where a criterion has no information it says so; and data that it can't use are refused."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from elastic import models
from elastic.data import Preprocessing, images_loader, load
from elastic.errors import DataError, PlanMismatch
from elastic.importance import NEED_DATA, NoInformation, score
from elastic.tracing import trace
from elastic.weights import load_weights, read_weights
from tests.importance import plain

WITH_LABELS = [("taylor", "obd"), ("taylor-signed", "obd"), ("hessian", "obd"), ("hessian", "hutchinson")]


@pytest.mark.parametrize(("name", "hessian"), WITH_LABELS)
def test_a_loss_that_is_constant_is_said_to_hold_no_information(name, hessian):
    model, plan = plain.network("chain")
    with pytest.warns(NoInformation, match="all 18 units score 0, what it is made of is zero; check the loss"):
        score(
            model, plan, name, hessian=hessian, data=plain.data_for(model), loss=lambda outputs, labels: torch.ones(())
        )


@pytest.mark.parametrize(("name", "hessian"), WITH_LABELS)
def test_a_loss_whose_gradient_is_zero_is_said_to_hold_no_information(name, hessian):
    model, plan = plain.network("chain")
    with pytest.warns(NoInformation, match="is zero"):
        score(model, plan, name, hessian=hessian, data=plain.data_for(model), loss=lambda o, labels: (o * 0).mean())


def test_scores_that_are_all_equal_are_said_to_hold_no_information():
    model, plan = plain.network("chain")
    with pytest.warns(
        NoInformation, match=r"criterion 'gates' has no information: all 18 units score 1, nothing tells"
    ):
        score(model, plan, "gates", gates=torch.ones(plan.units))


@pytest.mark.parametrize(("name", "hessian"), WITH_LABELS)
def test_labels_that_were_shuffled_are_found_out(name, hessian):
    model, plan = plain.network("chain")
    model.b.weight.data *= 4
    inputs = torch.randn(120, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = model(inputs).detach()
    model.head.bias.data -= logits.mean(0)  # so that every class is predicted
    labels = model(inputs).argmax(1)
    assert np.isfinite(score(model, plan, name, hessian=hessian, data=[(inputs, labels)])).all()
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    with pytest.warns(NoInformation, match=r"predicts \d+ of 120 labels, and \d+ would be chance"):
        score(model, plan, name, hessian=hessian, data=[(inputs, shuffled)])


@pytest.fixture(scope="module")
def real(real_data):
    """ResNet-20 and 256 training images that it knows."""
    path = real_data / "checkpoints" / "resnet20_cifar10.safetensors"
    model = models.build("elastic/resnet20").eval()
    load_weights(model, read_weights(path))
    preprocessing = Preprocessing.beside(path, Preprocessing.default("elastic/resnet20"))
    images = load(f"cifar10:{real_data}", train=True, preprocessing=preprocessing)
    return model, trace(model, torch.zeros(1, 3, 32, 32)), list(images_loader(images, 64, limit=256, seed=0))


@pytest.mark.parametrize("name", ["taylor", "hessian"])
def test_shuffled_labels_of_real_images_are_found_out(real, name):
    model, plan, data = real
    generator = torch.Generator().manual_seed(0)
    shuffled = [(inputs, labels[torch.randperm(len(labels), generator=generator)]) for inputs, labels in data]
    with pytest.warns(NoInformation, match="of 256 labels"):
        score(model, plan, name, data=shuffled)


def test_true_labels_of_real_images_go_without_a_warning(real):
    model, plan, data = real
    assert np.ptp(score(model, plan, "taylor", data=data)) > 0


def test_a_few_labels_are_not_judged():
    model, plan = plain.network("chain")
    wrong = [(inputs, 4 - labels) for inputs, labels in plain.data_for(model, sizes=(2,))]
    assert np.isfinite(score(model, plan, "taylor", data=wrong)).all()


@pytest.mark.parametrize("name", NEED_DATA)
def test_a_criterion_that_needs_data_asks_for_them(name):
    with pytest.raises(DataError, match=f"criterion '{name}' needs data; give batches"):
        score(*plain.small(), name)


REFUSED = {
    "not one batch": ([], "hold not one batch"),
    "used up": (iter([(torch.zeros(1, 3, 8, 8), torch.zeros(1))]), "used up in one go; give a list or a loader"),
    "no labels": ([torch.zeros(1, 3, 8, 8)], "batch 0 has no labels"),
    "three things": ([(torch.zeros(1), torch.zeros(1), torch.zeros(1))], "batch of 3 things"),
    "no tensor": ([(3, torch.zeros(1))], "no tensor"),
}


@pytest.mark.parametrize(("data", "said"), REFUSED.values(), ids=REFUSED)
def test_data_that_can_not_be_used_are_refused(data, said):
    with pytest.raises(DataError, match=said):
        score(*plain.small(), "taylor", data=data)


@pytest.mark.parametrize(("name", "hessian"), WITH_LABELS)
def test_a_gradient_that_is_not_finite_is_refused_by_the_name_of_its_tensor(name, hessian):
    model, plan = plain.network("chain")
    data = [(torch.full((2, 3, 6, 6), float("inf"), dtype=torch.float64), torch.tensor([0, 1]))]
    with pytest.raises(DataError, match=r"the gradient of a\.weight is not finite"):
        score(model, plan, name, hessian=hessian, data=data)


def test_scores_that_are_not_finite_are_refused():
    model, plan = plain.small()
    with pytest.raises(PlanMismatch, match="not finite: 1 of 3"):
        score(model, plan, lambda model, plan: np.array([1, 2, np.nan]))


def test_a_loader_of_inputs_alone_will_do():
    model, plan = plain.small()
    loader = DataLoader(TensorDataset(torch.randn(5, 3, 8, 8, dtype=torch.float64)), batch_size=2)
    assert score(model, plan, "activation", data=loader).shape == (plan.units,)


def test_a_loss_of_ones_own_is_used():
    model, plan = plain.small()
    data = [(inputs, F.one_hot(labels, 4).double()) for inputs, labels in plain.data_for(model, 3, 8, 8)]
    found = score(model, plan, "taylor", data=data, loss=F.mse_loss)
    assert np.ptp(found) > 0
