"""Results: what a training ends with: its last weights, a moving average of them, or those of its best epoch."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from elastic.training.judging import Judge
from elastic.training.records import Epoch


@dataclass(eq=False)
class Result:
    """A model that is trained, what its average has come to, None without one, and who judges its epochs."""

    model: nn.Module
    judge: Judge
    average: AveragedModel | None = None

    def begin(self, decay: float | None) -> None:
        """Begin an average of the model as it is now, unless there is to be none."""
        if decay is not None:
            way = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.model, multi_avg_fn=way, use_buffers=True)

    @property
    def network(self) -> nn.Module:
        """The network that the training would end with now, but for better epochs before."""
        return self.model if self.average is None else self.average.module

    def update(self) -> None:
        """Take the weights of a step into the average."""
        if self.average is not None:
            self.average.update_parameters(self.model)

    def measure(self, device: torch.device) -> dict[str, float]:
        """Return what an epoch tells of the held-out images."""
        return self.judge.measure(self.network, device)

    def ends(self, epochs: list[Epoch]) -> bool:
        """Keep the weights if the last epoch is the best; return whether no better one is to be expected."""
        return self.judge.judge(self.network, epochs)

    def tensors(self) -> dict[str, Mapping[str, Tensor]]:
        """Return all that a training has to be given back to go on, by part."""
        average = {} if self.average is None else self.average.state_dict()
        return {"model": self.model.state_dict(), "average": average, "best": self.judge.best}

    def load(self, tensors: Mapping[str, dict[str, Tensor]]) -> None:
        """Change it to what `tensors` returned."""
        self.model.load_state_dict(tensors["model"])
        self.judge.best = tensors["best"]
        if self.average is not None:
            self.average.load_state_dict(tensors["average"])

    def take(self) -> None:
        """Change the model to what the training ends with."""
        self.model.load_state_dict(self.judge.best or self.network.state_dict())
