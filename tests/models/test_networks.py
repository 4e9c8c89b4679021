import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from elastic import models
from elastic.data import Preprocessing, augment, evaluate, images_loader, load

OURS = [name for name in models.names() if name.startswith("elastic/")]
BLOCKS = ["elastic/resnet20", "elastic/resnet8p", "elastic/resnet18", "elastic/digits_resnet"]


@pytest.mark.parametrize("name", OURS)
def test_every_network_gives_one_logit_per_class(name):
    model = models.build(name, num_classes=7).eval()
    assert model(torch.zeros(2, *models.example_shape(name))).shape == (2, 7)


@pytest.mark.parametrize("name", OURS)
def test_every_network_takes_another_number_of_channels(name):
    model = models.build(name, in_channels=2).eval()
    assert model(torch.zeros(2, 2, *models.example_shape(name)[1:])).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("elastic/resnet20", 269_722),
        ("elastic/resnet56", 853_018),
        ("elastic/resnet20_post_activation", 269_722),
        ("elastic/resnet18_post_activation", 11_173_962),
        ("elastic/resnet8p", 89_322),
        ("elastic/wrn16_1", 175_066),
        ("elastic/vgg6_bn", 261_834),
        ("elastic/resnet18", 11_173_962),
        ("elastic/self_pruning", 1_070_890),
        ("elastic/digits_resnet", 77_754),
    ],
)
def test_networks_have_as_many_parameters_as_published(name, params):
    assert sum(parameter.numel() for parameter in models.build(name).parameters()) == params


@pytest.mark.parametrize(
    ("name", "depth"), [("elastic/resnet20", 20), ("elastic/resnet110", 110), ("elastic/vgg16_bn", 14)]
)
def test_depth_counts_the_weighted_layers(name, depth):
    layers = [module for module in models.build(name).modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(layers) == depth


def test_padded_shortcut_halves_the_map_and_pads_channels_on_both_sides():
    shortcut = models.build("elastic/resnet20").layer2[0].downsample
    x = torch.randn(1, 16, 4, 4)
    expected = torch.zeros(1, 32, 2, 2)
    expected[:, 8:24] = x[:, :, ::2, ::2]
    assert torch.equal(shortcut(x), expected)


@pytest.mark.parametrize("name", BLOCKS)
def test_inner_channels_of_every_block_can_be_cut_without_touching_forward(name):
    model = models.build(name).double().eval()
    x = torch.randn(2, *models.example_shape(name), dtype=torch.float64)
    blocks = [module for module in model.modules() if hasattr(module, "conv2")]
    for block in blocks:
        block.bn1.weight.data[::2] = 0  # bias is zero at the start, so that these channels are silent
    masked = model(x)
    for block in blocks:
        cut_inner(block, torch.arange(1, block.conv1.out_channels, 2))
    assert torch.allclose(model(x), masked, atol=1e-10)


def cut_inner(block, keep):
    block.conv1.weight.data = block.conv1.weight.data[keep]
    for values in (block.bn1.weight, block.bn1.bias, block.bn1.running_mean, block.bn1.running_var):
        values.data = values.data[keep]
    block.conv2.weight.data = block.conv2.weight.data[:, keep]


def test_post_activation_blocks_add_what_is_not_negative_to_their_shortcut():
    block = models.build("elastic/resnet20_post_activation").layer1[0].eval()
    x = torch.randn(2, 16, 8, 8)
    added = block(x) - x
    assert added.min() > -1e-6
    torch.testing.assert_close(added, F.relu(block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))))


def test_blocks_of_a_linear_stage_can_give_negative_values():
    stage = models.build("elastic/resnet20p").layer2
    x = torch.randn(2, 16, 8, 8)
    assert stage[0](x).min() < 0 <= stage(x).min()


def test_torchvision_weights_fit_the_cifar_resnet_but_for_stem_and_classifier():
    ours = models.build("elastic/resnet34").state_dict()
    theirs = models.build("torchvision/resnet34").state_dict()
    assert ours.keys() == theirs.keys()
    different = {name for name in ours if ours[name].shape != theirs[name].shape}
    assert different == {"conv1.weight", "fc.weight", "fc.bias"}


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [
        ("resnet20_cifar10", "elastic/resnet20"),
        ("resnet32_cifar10", "elastic/resnet32"),
        ("resnet56_cifar10", "elastic/resnet56"),
        ("resnet8p_cifar10", "elastic/resnet8p"),
        ("wrn16_1_cifar10", "elastic/wrn16_1"),
        ("vgg6_bn_cifar10", "elastic/vgg6_bn"),
    ],
)
def test_published_checkpoints_fit_name_by_name(real_data, checkpoint, name):
    state = load_file(real_data / "checkpoints" / f"{checkpoint}.safetensors")
    wanted = models.build(name).state_dict()
    lacking = {key for key in wanted if key not in state}
    assert all(key.endswith("num_batches_tracked") for key in lacking)
    assert {key: value.shape for key, value in state.items()} == {
        key: value.shape for key, value in wanted.items() if key not in lacking
    }


def test_the_digits_network_learns_the_digits():
    preprocessing = Preprocessing.default("elastic/digits_resnet")
    loader = images_loader(load("digits", train=True, preprocessing=preprocessing), 64, seed=0, shuffle=True)
    model = models.build("elastic/digits_resnet")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
    epochs = 8
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * len(loader))
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(augment(images, shift=1, mirror=False)), labels).backward()
            optimizer.step()
            scheduler.step()
    test = images_loader(load("digits", train=False, preprocessing=preprocessing), 360)
    assert evaluate(model, test).top1 >= 97
