"""Testing: for each image, whether a network is right, so that two networks can be compared image by image."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from elastic.comparing.records import Hits
from elastic.errors import DataError
from elastic.modes import eval_mode


@torch.inference_mode()
def hits(
    model: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    *,
    progress: Callable[[int], None] | None = None,
) -> Hits:
    """Return whether the largest logit of each image is that of its label, bool [images], in the loader's order.

    The loader must give the same images in the same order each time. `progress` is called with the images that are
    done. Raises DataError if the network is no classifier, or there are no images.
    """
    found: list[Tensor] = []
    done = 0
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    with eval_mode(model):
        for images, labels in loader:
            logits = model(images.to(device))
            if not isinstance(logits, Tensor) or logits.shape[:-1] != labels.shape or labels.dim() != 1:
                what = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
                raise DataError(f"the network returns {what}, not logits [images, classes]: it is no classifier")
            found.append(logits.argmax(1).cpu() == labels)
            done += len(labels)
            if progress is not None:
                progress(done)
    if not done:
        raise DataError("there is not one image to test on")
    return np.asarray(torch.cat(found).numpy(), np.bool_)
