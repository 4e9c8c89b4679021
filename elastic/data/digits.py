"""scikit-learn's 1,797 handwritten digits of 8x8 pixels: real data that come with a package, for a first try.

Alpaydin, Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998).
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from elastic.data.images import ImagesInMemory
from elastic.data.loading import Request
from elastic.errors import DataError


def open_digits(request: Request) -> ImagesInMemory:
    """Return 1,437 images to train on or 360 to test on, [1, 8, 8] in 0..1; always the same split."""
    if request.download:
        raise DataError("digits come with scikit-learn: there is nothing to download")
    digits = load_digits()
    split = train_test_split(np.arange(len(digits.target)), test_size=0.2, random_state=0, stratify=digits.target)
    chosen = split[0] if request.train else split[1]
    return ImagesInMemory(
        torch.from_numpy(digits.images[chosen, None] / 16).float(),
        torch.from_numpy(digits.target[chosen]).long(),
        classes=[str(name) for name in digits.target_names],
        transform=request.transform,
    )
