"""Train in one of several processes, as `torchrun` starts them: python processes.py OUTPUT."""

import sys

import torch
from safetensors.torch import save_file
from torch import nn

from elastic.data import Preprocessing, load
from elastic.training import Recipe, leave_processes, train


def main(output: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    digits = load("digits", train=True, preprocessing=Preprocessing.default("elastic/digits_resnet"))
    epochs = train(model, digits, Recipe(epochs=2, batch=250, shift=1, mirror=False, average=0.5))
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        told = {"loss": torch.tensor([epoch.loss for epoch in epochs])}
        save_file({**model.state_dict(), **told}, output)
    leave_processes()


if __name__ == "__main__":
    main(sys.argv[1])
