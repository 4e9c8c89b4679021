"""Running: the controls are there, runs are what a prune by hand gives, and a file takes up where it was left."""

import copy
import json

import numpy as np
import pytest
import torch

import elastic
from elastic import models
from elastic.comparing import ALLOCATIONS, Measured, hits
from elastic.comparing.choices import with_controls
from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.errors import ComparisonMismatch, DataError, FileFormatError, TargetError, UnknownName
from elastic.proofs import same_bits
from elastic.pruning import Pruned
from elastic.targets import parse_target
from elastic.training import Recipe, train

NETWORK = "elastic/digits_resnet"
EXAMPLE = torch.zeros(1, 1, 8, 8)


def part(train, count):
    data = load("digits", train=train, preprocessing=Preprocessing.default(NETWORK))
    return [(images, labels) for images, labels in images_loader(data, 32, limit=count, seed=0)]


TESTS, CALIBRATION = part(False, 50), part(True, 32)


def measure(network):
    return hits(network, TESTS)


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    model = models.build(NETWORK)
    digits = load("digits", train=True, preprocessing=Preprocessing.default(NETWORK))
    train(model, digits, Recipe(epochs=4, shift=1, mirror=False))
    return model


@pytest.fixture
def model(trained):
    return copy.deepcopy(trained)


@pytest.fixture
def compared(model):
    """Compare with what most tests ask for: two seeds, one criterion and one allocation beside the controls."""

    def run(**options):
        asked = {"target": "macs=50%", "criteria": ["magnitude"], "allocations": ["global"], "seeds": range(2)}
        return elastic.compare(
            model, EXAMPLE, **asked | {"measure": measure, "data": CALIBRATION, "recover": False} | options
        )

    return run


@pytest.fixture
def file(tmp_path, compared):
    """A file of all eight runs that `compared` makes."""
    compared(path=tmp_path / "runs.jsonl")
    return tmp_path / "runs.jsonl"


@pytest.mark.parametrize("criteria", [["lamp"], ["random"], ["random", "fpgm"], []], ids=str)
@pytest.mark.parametrize("allocations", [["global"], ["uniform"], []], ids=str)
def test_the_controls_are_always_there(criteria, allocations):
    found = with_controls(criteria, allocations, keep_at_least=2)
    assert set(found.criteria) == {"random", *criteria}
    assert set(found.allocations) == {"uniform", *allocations}


def test_every_choice_is_run_with_every_seed(compared):
    found = compared(seeds=[3, 5])
    assert {(run.criterion, run.allocation, run.seed) for run in found.runs} == {
        (criterion, allocation, seed)
        for criterion in ("magnitude", "random") for allocation in ("global", "uniform") for seed in (3, 5)
    }  # fmt: skip


def test_each_choice_is_judged_against_both_controls_but_itself(compared):
    judged = {
        (row.criterion, row.allocation): (row.against_random is not None, row.against_uniform is not None)
        for row in compared().rows
    }
    assert judged == {
        ("magnitude", "global"): (True, True), ("magnitude", "uniform"): (True, False),
        ("random", "global"): (False, True), ("random", "uniform"): (False, False),
    }  # fmt: skip


def test_a_difference_is_to_the_control_of_the_same_allocation_and_of_the_same_criterion(compared):
    rows = {(row.criterion, row.allocation): row for row in compared().rows}
    found, mean = rows["magnitude", "global"], {name: row.last.mean for name, row in rows.items()}
    assert found.against_random.difference.mean == pytest.approx(found.last.mean - mean["random", "global"])
    assert found.against_uniform.difference.mean == pytest.approx(found.last.mean - mean["magnitude", "uniform"])


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_a_run_is_what_pruning_by_hand_gives(compared, model, allocation):
    found = compared(criteria=["taylor"], allocations=[allocation], recover=True, seeds=[1], keep_at_least=3)
    run = next(run for run in found.runs if (run.criterion, run.allocation) == ("taylor", allocation))
    plan = elastic.trace(model, EXAMPLE)
    levels = elastic.allocate(
        plan, elastic.score(model, plan, "taylor", data=CALIBRATION), target="macs=50%", keep_at_least=3,
        **ALLOCATIONS[allocation],
    )  # fmt: skip
    pruned = Pruned(model, plan, np.empty(0), levels, (parse_target("macs=50%"),))
    fitted = pruned.recovered(torch.cat([images for images, _ in CALIBRATION]), seed=1)
    assert run.cut == Measured.of(measure(pruned.model))
    assert run.recovered == Measured.of(measure(fitted.model))
    assert run.macs == pruned.cost().macs / pruned.cost(1).macs


def test_the_model_stays_as_it_is(compared, model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    compared(criteria=["energy"], recover=True, seeds=[0])
    assert all(same_bits(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())


def test_hits_are_those_that_evaluate_counts(model):
    data = load("digits", train=False, preprocessing=Preprocessing.default(NETWORK))
    assert measure(model).sum() == evaluate(model, images_loader(data, 20, limit=50, seed=0)).correct


def test_a_measure_that_changes_the_network_leaves_the_model_alone(compared, model):
    before = model.conv1.weight.clone()

    def ruin(network):
        found = measure(network)
        network.conv1.weight.data.zero_()
        return found

    compared(measure=ruin, seeds=[0])
    assert torch.equal(model.conv1.weight, before)


def test_the_best_choice_comes_first(compared):
    means = [row.last.mean for row in compared(recover=True).rows]
    assert means == sorted(means, reverse=True)
    assert means[0] > means[-1]


def test_each_seed_has_its_own_data_asked_for_once(compared):
    asked = []

    def data(seed):
        asked.append(seed)
        return CALIBRATION

    compared(criteria=["energy", "taylor"], data=data, recover=True)
    assert asked == [0, 1]


def test_a_criterion_scores_once_for_all_allocations(compared):
    times = []

    def own(model, plan):
        times.append(1)
        return np.arange(plan.units, dtype=np.float64)

    compared(criteria={"own": own}, allocations=["global", "isomorphic"])
    assert len(times) == 2


def test_networks_that_were_cut_alike_are_measured_once(compared):
    measured = []

    def counted(network):
        measured.append(network)
        return measure(network)

    compared(measure=counted, seeds=range(3))
    assert len(measured) == 1 + 2 + 3 * 2  # the whole network, magnitude twice, random twice with each seed


def test_allocations_of_ones_own_are_options_of_prune(compared):
    found = compared(allocations={"wide": {"scope": "uniform", "round_to": 4}})
    assert found.runs[0].options == {"keep_at_least": 2, "scope": "uniform", "round_to": 4}


def test_choices_that_depend_on_no_seed_are_said_to(compared):
    rows = compared(target="macs=80%").rows  # with less, networks may be too bad to differ on so few images
    same = {(row.criterion, row.allocation): row.is_same_for_all_seeds for row in rows}
    assert same["magnitude", "global"]
    assert not same["random", "global"]


def test_an_accuracy_alone_will_do(compared):
    found = compared(measure=lambda network: float(measure(network).mean() * 100))
    assert found.images == 0
    assert found.rows[0].against_random is not None or found.rows[0].is_control


class Stopped(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3, 7])
def test_a_comparison_that_was_stopped_goes_on_as_if_it_had_not_been(file, tmp_path, compared, after):
    def stop(run, done, total):
        if done == after:
            raise Stopped

    path = tmp_path / "stopped.jsonl"
    with pytest.raises(Stopped):
        compared(path=path, progress=stop)
    assert len(path.read_bytes().splitlines()) == 1 + after
    assert compared(path=path) == compared(path=file)
    assert path.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("cut", [1, 50, 300])
def test_a_torn_last_line_is_made_again(file, compared, cut):
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    compared(path=file)
    assert file.read_bytes() == whole


def test_a_torn_line_that_is_longer_than_the_next_leaves_nothing(file, compared):
    whole = file.read_bytes()
    file.write_bytes(whole + b"x" * 10_000)
    compared(path=file, seeds=range(3))
    assert b"x" * 100 not in file.read_bytes()
    assert len(compared(path=file, seeds=range(3)).runs) == 12


@pytest.mark.parametrize("kept", [0, 5, 60])
def test_a_torn_first_line_is_made_again(file, compared, kept):
    whole = file.read_bytes()
    file.write_bytes(whole[:kept])
    compared(path=file)
    assert file.read_bytes() == whole


def test_nothing_is_measured_that_is_known(file, compared):
    def refuse(network):
        raise AssertionError("this was measured before")

    assert len(compared(path=file, measure=refuse).runs) == 8


def test_more_seeds_and_choices_are_added_to_a_file(file, compared):
    before = file.read_bytes()
    found = compared(path=file, seeds=range(3), allocations=["global", "isomorphic"])
    assert found == compared(seeds=range(3), allocations=["global", "isomorphic"])
    assert file.read_bytes().startswith(before)


def test_progress_counts_what_was_there(file, compared):
    told = []
    compared(path=file, seeds=range(3), progress=lambda run, done, total: told.append((run.seed, done, total)))
    assert told == [(2, 9, 12), (2, 10, 12), (2, 11, 12), (2, 12, 12)]


OTHERS = {
    "target": ({"target": "macs=40%"}, "holds runs with target macs=50%, not macs=40%"),
    "repair": ({"recover": True}, "holds runs with recover False, not True"),
    "settings": ({"settings": {"data": "svhn"}}, r"holds runs with settings \{\}, not \{'data': 'svhn'\}"),
    "bounds": ({"keep_at_least": 5}, r"holds runs with allocation global as \{'keep_at_least': 2, .*; give another"),
}


@pytest.mark.parametrize(("options", "why"), OTHERS.values(), ids=OTHERS)
def test_runs_that_were_made_otherwise_are_refused(file, compared, options, why):
    before = file.read_bytes()
    with pytest.raises(ComparisonMismatch, match=why):
        compared(path=file, **options)
    assert file.read_bytes() == before


def test_runs_of_other_weights_are_refused(file, compared, model):
    with torch.no_grad():
        model.conv1.weight[0, 0, 0, 0] += 1
    with pytest.raises(ComparisonMismatch, match=r"holds runs with weights [0-9a-f]{64}, not [0-9a-f]{64}"):
        compared(path=file)


def test_another_kind_of_file_is_refused(tmp_path, compared):
    (tmp_path / "mine.jsonl").write_text("mine\n")
    with pytest.raises(FileFormatError, match="holds no runs of `elastic compare`"):
        compared(path=tmp_path / "mine.jsonl")
    assert (tmp_path / "mine.jsonl").read_text() == "mine\n"


def with_cut(run, **fields):
    return json.dumps(run | {"cut": run["cut"] | fields})


DAMAGES = {
    "no JSON": (lambda run: "{", "line 3: Invalid JSON"),
    "a field is missing": (lambda run: json.dumps({"criterion": "random"}), "line 3: allocation: Field required"),
    "images are missing": (lambda run: with_cut(run, images=9), "line 3: cut: .*9 images"),
    "no base64": (lambda run: with_cut(run, packed="?"), "line 3: cut: "),
    "an accuracy of its own": (lambda run: with_cut(run, accuracy=99.0), "line 3: cut: .*99.0 % is not"),
}


@pytest.mark.parametrize(("damaged", "why"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_line_is_refused_by_its_number(file, compared, damaged, why):
    lines = file.read_text().splitlines()
    lines[2] = damaged(json.loads(lines[2]))
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(FileFormatError, match=why):
        compared(path=file)


REFUSED = {
    "an unknown criterion": ({"criteria": ["taylr"]}, UnknownName, "unknown criterion 'taylr'; known here: magnitude"),
    "gates": ({"criteria": ["gates"]}, UnknownName, "unknown criterion 'gates'"),
    "an unknown allocation": ({"allocations": ["local"]}, UnknownName, "unknown allocation 'local'; known: global"),
    "an unknown option": (
        {"allocations": {"own": {"seed": 1}}},
        UnknownName,
        "'own' has no option 'seed'; known: norm",
    ),
    "another control": ({"allocations": {"uniform": {"per": "macs"}}}, UnknownName, "'uniform' is the control"),
    "another random": ({"criteria": {"random": "lamp"}}, UnknownName, "'random' is the control"),
    "no data": ({"criteria": ["energy"], "data": None}, DataError, "energy: needs data"),
    "nothing to repair on": ({"recover": True, "data": None}, DataError, "recover=True: needs data"),
    "no seeds": ({"seeds": []}, DataError, "give one or more"),
    "a seed twice": ({"seeds": [1, 1]}, DataError, "each once"),
    "too small a target": ({"target": "macs=0.1%"}, TargetError, "magnitude with global: target macs=0.1% cannot"),
    "no measure": ({"measure": lambda network: [1, 2]}, DataError, r"measure gave int64 \[2\]; give an accuracy"),
    "not a number": ({"measure": lambda network: np.nan}, DataError, r"measure gave float64 \[\]"),
}


@pytest.mark.parametrize(("options", "error", "why"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_compared_is_refused(compared, options, error, why):
    with pytest.raises(error, match=why):
        compared(**options)


def test_a_test_set_that_changes_is_refused(compared):
    sizes = iter([50, 50, 49])
    with pytest.raises(DataError, match="measure gave 49 test images, and 50 for the whole network"):
        compared(measure=lambda network: np.ones(next(sizes), bool))


def test_what_is_no_classifier_has_no_hits():
    with pytest.raises(DataError, match=r"returns \[32, 2, 2\], not logits"):
        hits(torch.nn.Unflatten(1, (2, 2)), [(torch.zeros(32, 4), torch.zeros(32, dtype=torch.long))])


def test_no_images_are_no_test():
    with pytest.raises(DataError, match="not one image"):
        hits(torch.nn.Identity(), [])
