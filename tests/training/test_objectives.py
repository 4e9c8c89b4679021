import pytest
import torch
import torch.nn.functional as F

from elastic.data.augmenting import augment
from elastic.recipes import Recipe
from elastic.training.objectives import Batch, loss_of, prepared

STILL = {"shift": 0, "mirror": False}
LABELS = torch.arange(6)


def images():
    """Return six images, each of one value."""
    return torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 20, 20).contiguous()


def made(part=slice(0, 6), total=6, seed=0, **recipe):
    torch.manual_seed(seed)
    return prepared(Recipe(**STILL | recipe), images()[part], LABELS[part], part, total)


def test_without_mixing_labels_are_their_images():
    batch = made()
    assert torch.equal(batch.images, images())
    assert batch.others is None


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
@pytest.mark.parametrize("seed", range(5))
def test_a_label_has_the_share_that_its_image_has(mix, seed):
    batch = made(mix=mix, seed=seed)
    own, other = (labels.view(6, 1).float() for labels in (LABELS, batch.others))
    wanted = batch.share * own + (1 - batch.share) * other
    torch.testing.assert_close(batch.images.flatten(1).mean(1, keepdim=True), wanted)


def test_cutmix_takes_whole_pixels_of_one_rectangle():
    batch = next(batch for seed in range(20) if 0.1 < (batch := made(mix="cutmix", seed=seed)).share < 0.9)
    taken = (batch.images[0, 0] != 0).nonzero()
    rows, columns = taken[:, 0].unique(), taken[:, 1].unique()
    assert len(taken) == len(rows) * len(columns)
    assert set(batch.images[0].unique().tolist()) == {0.0, 5.0}


def test_processes_move_images_as_one_does():
    whole, recipe = torch.randn(6, 1, 8, 8), Recipe()
    torch.manual_seed(3)
    together = prepared(recipe, whole, LABELS, slice(0, 6), 6)
    found = []
    for part in (slice(0, 3), slice(3, 6)):
        torch.manual_seed(3)
        found.append(prepared(recipe, whole[part], LABELS[part], part, 6).images)
    assert torch.equal(torch.cat(found), together.images)
    torch.manual_seed(3)
    assert torch.equal(augment(whole), together.images)


def test_the_loss_is_the_sum_of_cross_entropies():
    logits = torch.randn(6, 10)
    found = loss_of([logits], Batch(images(), LABELS, 6), Recipe(label_smoothing=0.2), None)
    wanted = 6 * F.cross_entropy(logits, LABELS, label_smoothing=0.2)
    torch.testing.assert_close(found, wanted)


def test_mixed_labels_are_those_of_both_images():
    logits, others = torch.randn(6, 10), LABELS.flip(0)
    found = loss_of([logits], Batch(images(), LABELS, 6, others, 0.3), Recipe(label_smoothing=0), None)
    soft = 0.3 * F.one_hot(LABELS, 10).float() + 0.7 * F.one_hot(others, 10).float()
    torch.testing.assert_close(found, -(soft * logits.log_softmax(1)).sum())


def test_the_distance_to_a_teacher_is_that_of_the_paper():
    logits, wanted = torch.randn(6, 10), torch.randn(6, 10)
    how = Recipe(distil=0.25, temperature=3.0, label_smoothing=0)
    found = loss_of([logits], Batch(images(), LABELS, 6), how, wanted)
    soft, made = (wanted / 3).softmax(1), (logits / 3).softmax(1)
    distance = 9 * (soft * (soft.log() - made.log())).sum()
    torch.testing.assert_close(found, 0.75 * 6 * F.cross_entropy(logits, LABELS) + 0.25 * distance)


def test_a_student_that_is_its_teacher_has_no_distance():
    logits = torch.randn(6, 10)
    found = loss_of([logits], Batch(images(), LABELS, 6), Recipe(distil=1.0), logits)
    assert float(found) == pytest.approx(0, abs=1e-4)


def test_other_networks_have_the_first_as_their_teacher():
    first, other = torch.randn(2, 6, 10, requires_grad=True)
    batch, how = Batch(images(), LABELS, 6), Recipe(distil=0.5)
    both = loss_of([first, other], batch, how, None)
    torch.testing.assert_close(both, loss_of([first], batch, how, None) + loss_of([other], batch, how, first))
    (of_other,) = torch.autograd.grad(both - loss_of([first], batch, how, None), first, retain_graph=True)
    assert not of_other.any()  # a teacher learns nothing from its students
