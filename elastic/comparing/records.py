"""Records: what a comparison keeps of each run, and of what all runs have in common; JSON at the border, checked."""

import base64
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from elastic.errors import DataError

Hits = npt.NDArray[np.bool_]  # [images], in the order of the test set
FORMAT: Literal["elastic compare 1"] = "elastic compare 1"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Measured(_Record):
    """An accuracy in percent, and which test images it is made of, where that is known."""

    accuracy: float = Field(allow_inf_nan=False)
    images: int = Field(default=0, ge=0)  # 0: only the accuracy is known
    packed: str = ""  # a bit for each image, base64

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(base64.b64decode(self.packed, validate=True)) != -(-self.images // 8):
            raise ValueError(f"{self.images} images, but another number of bits")
        if self.images and self.accuracy != _percent(self.hits):
            raise ValueError(f"an accuracy of {self.accuracy} % is not that of its images")
        return self

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return a number, or whether each test image was a hit, as a record. Raises DataError for anything else."""
        found = np.asarray(value)
        if found.ndim == 1 and found.dtype == np.bool_ and found.size:
            packed = base64.b64encode(np.packbits(found).tobytes()).decode()
            return cls(accuracy=_percent(found), images=found.size, packed=packed)
        if found.ndim == 0 and found.dtype.kind in "iuf" and np.isfinite(found):
            return cls(accuracy=float(found))
        raise DataError(
            f"measure gave {found.dtype} {list(found.shape)}; give an accuracy in percent, or a bool for each image"
        )

    @property
    def hits(self) -> Hits:
        """Whether each image was a hit, [images]."""
        bits = np.frombuffer(base64.b64decode(self.packed), np.uint8)
        return np.unpackbits(bits, count=self.images).astype(np.bool_)


class Run(_Record):
    """A network cut by one criterion with one allocation and one seed, and what was measured of it."""

    criterion: str
    allocation: str
    seed: int
    options: dict[str, Any]  # of the allocation
    macs: float  # shares of the whole network's
    params: float
    cut: Measured
    recovered: Measured | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from other runs."""
        return self.criterion, self.allocation, self.seed

    @property
    def last(self) -> Measured:
        """What is judged: after the repair where there was one."""
        return self.cut if self.recovered is None else self.recovered


class Header(_Record):
    """What all runs of a file have in common."""

    format: Literal["elastic compare 1"] = FORMAT
    version: str  # of this toolkit
    weights: str  # SHA-256 of names, dtypes, shapes and values
    target: str
    recover: bool
    settings: dict[str, str]  # what the caller says of images and tests
    whole: Measured  # the network itself


def _percent(hits: Hits) -> float:
    return 100 * int(hits.sum()) / hits.size
