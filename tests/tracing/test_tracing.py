import copy
import threading

import pytest
import torch
from torch import nn

from elastic.errors import NothingToPrune, TraceError, UnknownName
from elastic.plan import NEVER
from elastic.tracing import trace
from tests.networks import Wired, chain, conv, depthwise, grouped, mean, projected_residual, tied_weights
from tests.tracing.partitions import partition

IMAGE = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def same_plan(a, b):
    return (
        a.axes.keys() == b.axes.keys()
        and all((a.axes[home] == b.axes[home]).all() for home in a.axes)
        and (a.tensors, a.operations, a.frozen) == (b.tensors, b.operations, b.frozen)
    )


def test_units_are_numbered_without_gaps_in_the_order_of_the_state_dict():
    plan = trace(projected_residual(), IMAGE)
    seen = list(dict.fromkeys(u for labels in plan.axes.values() for u in labels.tolist() if u != NEVER))
    assert seen == list(range(plan.units))


def test_a_trace_repeats():
    assert same_plan(trace(projected_residual(), IMAGE), trace(projected_residual(), IMAGE))


def test_weights_do_not_matter():
    model = chain()
    empty = copy.deepcopy(model)
    for parameter in empty.parameters():
        parameter.data.zero_()
    assert same_plan(trace(model, IMAGE), trace(empty, IMAGE))


def test_a_model_on_the_meta_device_can_be_traced():
    model = chain()
    assert same_plan(trace(copy.deepcopy(model).to("meta"), IMAGE), trace(model, IMAGE))


def test_the_sum_of_a_residual_is_one_set_of_units():
    axes = trace(projected_residual(), IMAGE).axes
    assert axes["b.weight", 0].tolist() == axes["short.weight", 0].tolist() == axes["head.weight", 1].tolist()


def test_a_grouped_convolution_leaves_by_whole_groups():
    axes = trace(grouped(), IMAGE).axes
    assert axes["a.weight", 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert axes["g.weight", 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_depthwise_convolution_leaves_channel_by_channel():
    axes = trace(depthwise(), IMAGE).axes
    assert axes["a.weight", 0].tolist() == axes["dw.weight", 0].tolist() == axes["b.weight", 1].tolist() == [*range(8)]


def test_a_flatten_repeats_every_unit_for_its_pixels():
    model = Wired(lambda m, x: m.head(m.a(x).flatten(1)), a=conv(3, 4), head=nn.Linear(4 * 36, 5))
    axes = trace(model, IMAGE).axes
    assert axes["head.weight", 1].tolist() == axes["a.weight", 0].repeat(36).tolist()


def test_tied_names_are_aliases_of_the_first():
    plan = trace(tied_weights(), torch.randn(2, 6))
    assert plan.aliases == {"two.weight": "one.weight"}
    assert "two.weight" not in plan.tensors


def test_buffers_are_no_parameters():
    plan = trace(chain(), IMAGE)
    assert [name for name, spec in plan.tensors.items() if not spec.is_parameter] == [
        "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", ["a", "norm", "?", "a*"])
def test_a_pattern_freezes_the_outputs_of_a_module(pattern):
    plan = trace(Wired(
        lambda m, x: m.head(mean(m.other(m.norm(m.a(x))))),
        a=conv(3, 8), norm=nn.BatchNorm2d(8), other=conv(8, 6), head=nn.Linear(6, 5),
    ), IMAGE, freeze=[pattern])  # fmt: skip
    assert ("a.weight", 0) not in plan.axes
    assert ("other.weight", 0) in plan.axes
    assert f"the pattern '{pattern}' asks for it" in {f.reason for f in plan.frozen if f.tensor == "a.weight"}


def test_a_pattern_freezes_the_outputs_of_a_transposed_convolution():
    model = Wired(lambda m, x: mean(m.b(m.t(m.a(x)))), a=conv(3, 4), t=nn.ConvTranspose2d(4, 6, 2), b=conv(6, 5))
    plan = trace(model, IMAGE, freeze=["t"])
    assert ("t.weight", 1) not in plan.axes
    assert ("t.weight", 0) in plan.axes


def test_a_pattern_that_nothing_goes_by_is_refused():
    with pytest.raises(UnknownName, match=r"no module's name matches 'layer9\.\*'"):
        trace(chain(), IMAGE, freeze=["layer9.*"])


def test_an_unknown_engine_is_refused():
    with pytest.raises(UnknownName, match="unknown engine 'magic'; known: elastic, torch-pruning"):
        trace(chain(), IMAGE, engine="magic")


def test_freezing_everything_is_refused():
    with pytest.raises(NothingToPrune, match=r"nothing in Wired can be pruned: .*the pattern '\*' asks for it"):
        trace(chain(), IMAGE, freeze=["*"])


@pytest.mark.parametrize(("engine", "verb"), [("elastic", "run"), ("torch-pruning", "build a graph of")])
def test_an_example_that_does_not_fit_is_refused(engine, verb):
    with pytest.raises(TraceError, match=rf"can't {verb} Wired.*: RuntimeError: .*; check the example input"):
        trace(chain(), torch.randn(1, 4, 6, 6), engine=engine)


def test_a_model_that_can_not_be_copied_is_refused():
    model = chain()
    model.lock = threading.Lock()
    with pytest.raises(TraceError, match=r"Wired can't be copied: .* remove what a copy can't take"):
        trace(model, IMAGE)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
def test_a_weight_that_a_hook_computes_can_be_cut():
    model = chain()
    nn.utils.weight_norm(model.a)
    assert ("a.weight_v", 0) in trace(model, IMAGE).axes


@pytest.mark.parametrize("engine", ["elastic", "torch-pruning"])
@pytest.mark.parametrize("make", [chain, projected_residual, grouped, depthwise], ids=lambda make: make.__name__)
def test_both_engines_tell_the_same_units(make, engine):
    assert partition(trace(make(), IMAGE, engine=engine)) == partition(trace(make(), IMAGE))


def halves():
    def connect(m, x):
        u, v = m.a(x).chunk(2, 1)
        return m.head(mean(m.c(v) + m.b(u)))

    return Wired(connect, a=conv(3, 8), b=conv(4, 6), c=conv(4, 6), head=nn.Linear(6, 5))


def test_halves_of_whatever_width_there_is_lose_the_same_positions():
    axes = trace(halves(), IMAGE).axes
    assert axes["a.weight", 0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert axes["b.weight", 1].tolist() == axes["c.weight", 1].tolist() == [0, 1, 2, 3]


def test_halves_that_lose_unequally_are_found_wrong_in_the_library_s_labels():
    assert ("a.weight", 0) not in trace(halves(), IMAGE, engine="torch-pruning").axes


def test_without_a_probe_what_the_library_labels_wrongly_stays_elastic():
    assert ("a.weight", 0) in trace(halves(), IMAGE, engine="torch-pruning", probe=False).axes


def test_inference_mode_changes_nothing():
    whole = trace(chain(), IMAGE)
    with torch.inference_mode():
        found = trace(chain(), IMAGE)
    assert {home: labels.tolist() for home, labels in found.axes.items()} == {
        home: labels.tolist() for home, labels in whole.axes.items()
    }
