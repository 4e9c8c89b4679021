"""Levels with gates in a file: the bits that were computed, bytes as told, the others as they were, refusals."""

import json

import numpy as np
import pytest
import torch

import elastic
from elastic import checkpoint, tuning
from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.dynamic import in_all, reset, spent
from elastic.dynamic.channel import channel_gated, channel_gates
from elastic.dynamic.keeping import gates_told, with_gates
from elastic.dynamic.precision import precision_gated, precision_gates
from elastic.dynamic.spending import spending
from elastic.dynamic_gating import PrecisionGating, channel_gating_of, precision_gating_of
from elastic.errors import FileFormatError, GatedLevel, InvalidBits, LiveNetwork, OutputExists
from elastic.exporting import SUFFIXES
from elastic.metadata import read_header, verify_level
from elastic.nesting.family import family_of
from elastic.proofs import same_bits
from elastic.quantising import quantise_levels
from elastic.recipes import Recipe
from tests.dynamic.conftest import EXAMPLE as EIGHT
from tests.dynamic.conftest import SEEN, small

NETWORK = "elastic/digits_resnet"
EXAMPLE = torch.zeros(1, 1, 8, 8)
PREPROCESSING = Preprocessing.default(NETWORK)
RECIPE = Recipe(epochs=1, batch=64, learning_rate=0.02, shift=1, mirror=False)
CHANNEL = channel_gating_of("paper", layers=("layer*.conv?",), budget=0.7)
PRECISION = precision_gating_of("calibrated", bits=4, prediction_bits=2, elsewhere="W8A8")
NAMES = ["macs=50%-gated", "full-gated-W8A4-2", "full"]


@pytest.fixture(scope="module")
def some(digits):
    """Images to train on, fewer."""
    return torch.utils.data.Subset(digits, range(384))


@pytest.fixture(scope="module")
def images():
    tested = images_loader(load("digits", train=False, preprocessing=PREPROCESSING), 360)
    return torch.cat([images for images, _ in tested])


@pytest.fixture(scope="module")
def measure():
    tested = images_loader(load("digits", train=False, preprocessing=PREPROCESSING), 360)
    return lambda network: evaluate(network, tested).top1


@pytest.fixture(scope="module")
def floats(trained, digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("levels") / "floats.safetensors"
    seen = [images for images, _ in images_loader(digits, 128, limit=128, seed=0)]
    elastic.prune(trained, EXAMPLE, target="macs=50%", data=seen).save(
        path, model_name=NETWORK, input=PREPROCESSING.to_dict()
    )
    return path


@pytest.fixture(scope="module")
def gated(floats, some, measure):
    """Channel gates on the pruned level, precision gates on the largest."""
    path, half = floats.with_name("gated.safetensors"), floats.with_name("half.safetensors")
    options = {"recipe": RECIPE, "measure": measure, "calibration": 128}
    elastic.gate_levels_dynamically(floats, half, some, gating=CHANNEL, levels=["50%"], **options)
    elastic.gate_levels_dynamically(half, path, some, gating=PRECISION, **options)
    return path


def changed_header(path, output, change):
    """Write a copy whose recipe was changed."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    described = json.loads(header["__metadata__"]["elastic"])
    change(described["recipe"]["gated"])
    header["__metadata__"]["elastic"] = json.dumps(described)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    output.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    return output


def saved(network, trained, path):
    """Return what is loaded of a network that was saved as the smaller of two levels of the same widths."""
    plan = elastic.trace(trained, EXAMPLE)
    levels = np.zeros(plan.units, np.uint8)
    elastic.save(path, trained, plan, levels, names=["gated", "full"], model_name=NETWORK, made={0: network})
    return checkpoint.load(path, "gated")


def test_gated_levels_take_the_place_of_smaller_ones_and_lie_below_the_largest(gated):
    header = read_header(gated)
    assert [level.name for level in header.levels] == NAMES
    assert header.version == 2
    assert {name.rpartition(".gate.")[2] for name in header.levels[0].own} == {
        "threshold", "scale", "shift", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    }  # fmt: skip


def test_the_largest_level_stays_bit_for_bit(floats, gated):
    before, after = elastic.load_state(floats), elastic.load_state(gated)
    assert list(before) == list(after)
    assert all(same_bits(tensor, after[name]) for name, tensor in before.items())


@pytest.mark.parametrize("level", range(3))
def test_every_level_has_its_digest(gated, level):
    verify_level(gated, level)


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_loaded_level_computes_what_was_measured(gated, measure, name):
    level = next(each for each in read_header(gated).levels if each.name == name)
    network = checkpoint.load(gated, name)
    reset(network)
    assert measure(network) == level.metrics["top1"] > 30
    found = spending(network, level.macs).metrics()
    assert {**level.metrics, **found} == level.metrics
    assert 0 < found["open"] < 100
    assert found["computed"] < 100


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_level_takes_the_bytes_that_the_file_says(gated, tmp_path, name):
    out = tmp_path / "level.safetensors"
    elastic.export(checkpoint.load(gated, name), EXAMPLE, out, "state-dict")
    assert out.stat().st_size == next(each.bytes for each in read_header(gated).levels if each.name == name)


def test_weights_of_precision_gates_are_packed(gated):
    header = read_header(gated)
    assert header.levels[1].bytes < header.levels[2].bytes / 3
    assert "layer1.0.conv1.weight" in header.levels[1].absent
    layers = precision_gates(checkpoint.load(gated, 1))
    assert {str(layer.bits) for layer in layers.values()} == {"W8A4"}


@pytest.mark.parametrize(
    "gating",
    [
        channel_gating_of("paper", begin=0.1),
        channel_gating_of("published", layers=("layer*.conv?",), begin=-0.1),
        channel_gating_of("skipping", sides="two", begin=-0.5, begin_above=1.0, coarse=0.2),
        precision_gating_of("published"),
        precision_gating_of("calibrated", ranges="average", steps="learned", elsewhere="W8A8"),
        precision_gating_of("skipping", ranges="learned"),
    ],
    ids=["paper", "published", "two-sided", "pact", "average", "pixel"],
)
def test_every_way_to_gate_comes_back_to_the_bit(trained, images, tmp_path, gating):
    if isinstance(gating, PrecisionGating):
        network = precision_gated(trained, EXAMPLE, [images[:64]], gating)
    else:
        network = channel_gated(trained, EXAMPLE, gating, [images[:64]])
    again = saved(network, trained, tmp_path / "n.safetensors")
    with torch.no_grad():
        assert torch.equal(network(images), again(images))
    assert in_all(spent(network)) == in_all(spent(again))


def test_a_level_that_is_loaded_and_saved_again_is_the_same_file(gated, trained, tmp_path):
    network = checkpoint.load(gated, 0)
    assert all(layer.gate.gating == CHANNEL for layer in channel_gates(network).values())
    made = saved(checkpoint.load(gated, 1), trained, tmp_path / "a.safetensors")
    saved(made, trained, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_gated_levels_of_a_file_stay_when_others_are_quantised(gated, digits, images, measure, tmp_path):
    half, both = gated.with_name("half.safetensors"), tmp_path / "both.safetensors"
    quantise_levels(half, both, digits, levels=["full"], measure=measure)
    assert [level.name for level in read_header(both).levels] == ["macs=50%-gated", "full-W8A8", "full"]
    with torch.no_grad():
        assert torch.equal(checkpoint.load(both, 0)(images), checkpoint.load(half, 0)(images))


def test_files_with_gated_levels_are_not_changed_into_floats_unseen(gated, digits, tmp_path):
    out = tmp_path / "n.safetensors"
    with pytest.raises(GatedLevel, match=r"level 'macs=50%-gated' of .* is gated already"):
        elastic.gate_levels_dynamically(gated, out, digits, RECIPE, levels=[0])
    with pytest.raises(GatedLevel, match="is gated already"):
        quantise_levels(gated, out, digits, levels=[0])
    with pytest.raises(GatedLevel, match=r"has gated levels \(macs=50%-gated, full-gated-W8A4-2\)"):
        tuning.fine_tune(gated, out, digits, level=0)
    for refused in (family_of, lambda path: elastic.load_width(path, "macs=60%")):
        with pytest.raises(GatedLevel, match="has gated levels"):
            refused(gated)
    with pytest.raises(LiveNetwork, match="has gates that inputs decide, which a live"):
        elastic.load(gated)


@pytest.mark.parametrize("format", ["onnx", "torch-export", "sparse"])
def test_formats_that_can_not_hold_gates_are_refused(gated, tmp_path, format):
    with pytest.raises(GatedLevel, match=f"{format} has no way to say so"):
        elastic.export(checkpoint.load(gated, 0), EXAMPLE, tmp_path / f"n{SUFFIXES[format]}", format)


def test_levels_of_few_bits_are_not_gated_unseen(floats, digits, tmp_path):
    few = tmp_path / "few.safetensors"
    quantise_levels(floats, few, digits)
    with pytest.raises(InvalidBits, match=r"level 'full-W8A8' of .* is quantised already"):
        elastic.gate_levels_dynamically(few, tmp_path / "n.safetensors", digits, RECIPE, levels=[1])
    with pytest.raises(OutputExists, match="choose another name"):
        elastic.gate_levels_dynamically(floats, few, digits, RECIPE)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda groups: groups[0].update(method="other"), "can't be read"),
        (lambda groups: groups[0]["gating"].update(parts=0), "parts=0 can't be followed"),
        (lambda groups: groups[0]["gating"].update(code="x"), "channel gates have no option 'code'"),
        (
            lambda groups: groups[0]["layers"].update(fc=None),
            "'fc' can't have the gates that it tells of: it is no conv",
        ),
        (lambda groups: groups[0]["layers"].update(none=None), "'none' can't have the gates"),
        (lambda groups: groups[0]["layers"].update({"layer1.0.conv1": "fc"}), "fc behind it is no batch norm"),
        (lambda groups: groups[0]["layers"].update({"layer1.0.conv1": None}), "'layer1.0.conv1' can't have the gates"),
        (lambda groups: groups[0]["gating"].update(parts=999), "fewer than 999 parts"),
    ],
    ids=["method", "range", "option", "kind", "name", "norm", "no-norm", "parts"],
)
def test_a_file_that_says_other_things_of_its_gates_is_refused(gated, tmp_path, change, told):
    other = changed_header(gated, tmp_path / "n.safetensors", lambda levels: change(levels["macs=50%-gated"]))
    with pytest.raises(FileFormatError, match=told):
        checkpoint.load(other, 0)


@pytest.mark.parametrize("read", [[0, 8], [-1, 3], [5, 5], [6, 2]])
def test_a_base_path_that_reads_no_choice_of_channels_is_refused(read):
    gating = channel_gating_of("paper", layers=("stem",), base="strongest")
    network = channel_gated(small(), EIGHT.double(), gating, [SEEN])
    own = {f"stem.gate.{name}": tensor for name, tensor in network.stem.gate.state_dict().items()}
    assert torch.equal(with_gates(small(), own, gates_told(network), "f").stem.gate.read, network.stem.gate.read)
    with pytest.raises(FileFormatError, match="reads no choice of 8 channels"):
        with_gates(small(), own | {"stem.gate.read": torch.tensor(read)}, gates_told(network), "f")


def test_precision_gates_of_other_bits_than_their_layers_are_refused(gated, tmp_path):
    def change(levels):
        levels["full-gated-W8A4-2"][0]["gating"]["bits"] = 3

    with pytest.raises(FileFormatError, match="it has other bits, W8A4"):
        checkpoint.load(changed_header(gated, tmp_path / "n.safetensors", change), 1)


@pytest.mark.slow
def test_a_stopped_training_of_gates_goes_on_to_the_same_file(floats, some, tmp_path):
    class Stopped(Exception):
        pass

    def stop(name, epoch):
        raise Stopped

    recipe = RECIPE.model_copy(update={"epochs": 2})
    files = [tmp_path / f"{name}.safetensors" for name in ("whole", "stopped")]
    options = {"gating": CHANNEL, "levels": [0], "calibration": 128}
    elastic.gate_levels_dynamically(floats, files[0], some, recipe, **options)
    keep = {"keep": tmp_path / "net.training", "log": tmp_path / "net.jsonl"}
    with pytest.raises(Stopped):
        elastic.gate_levels_dynamically(floats, files[1], some, recipe, report=stop, **keep, **options)
    assert not files[1].exists()
    elastic.gate_levels_dynamically(floats, files[1], some, recipe, **keep, **options)
    assert files[0].read_bytes() == files[1].read_bytes()
