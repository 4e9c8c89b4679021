"""Export: a level as a state dict, plain or sparse, as ONNX, or as a torch.export program, each checked before use.

The file is written beside its place, read back, run on images that it has not seen, in another batch size where the
format has one, and compared with torch; only then does it take its name. A quantised network becomes ONNX of integers.
"""

import contextlib
import copy
import io
import logging
import os
import secrets
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from elastic.errors import ExportError, GatedLevel, OutputExists, PathError, UnknownName
from elastic.makes import is_gated, kept_state
from elastic.modes import eval_mode
from elastic.proofs import prove_equal, relative_error
from elastic.quantise.qdq import as_qdq, is_quantised
from elastic.sparse_storage import load_sparse, save_sparse
from elastic.tensors import stored
from elastic.weights import read_weights

Format = Literal["state-dict", "onnx", "torch-export", "sparse"]
FORMATS: tuple[str, ...] = get_args(Format)
SUFFIXES = {"state-dict": ".safetensors", "onnx": ".onnx", "torch-export": ".pt2", "sparse": ".safetensors"}
STATES = ("state-dict", "sparse")  # weights alone, bit for bit
GATED_STATES = ("state-dict",)  # what can hold gates
TOLERANCE = 1e-4  # of the output's scale
ROUNDED = 0.05  # the same for quantised networks: what lies between two levels goes either way, by a sum's last bit


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    format: str
    bytes: int
    error: float  # largest difference from torch, relative to the largest output


def export(model: nn.Module, example: Tensor, path: str | Path, format: Format, *, overwrite: bool = False) -> Exported:
    """Write the model and return what was written; the batch size is left open where the format can.

    `example` [n, channels, height, width] gives the shape of an input. The model is run in eval mode and float32, and
    stays as it is; a state dict keeps its dtypes.

    A quantised network becomes ONNX with folded norms and weights of bytes (`elastic.quantise.qdq`), or a state dict of
    packed levels (`elastic.quantise.packing`). One with gates that inputs decide becomes a state dict alone.

    Raises UnknownName for a format, GatedLevel for one that can't hold gates, ExportError if the exporter fails or the
    result differs from torch by more than 1e-4 of the largest output, 0.05 for quantised networks; OutputExists, and
    PathError as for any file, or for one with another suffix.
    """
    check_format(format)
    check_suffix(Path(path), format)
    if is_gated(model) and format not in GATED_STATES:
        raise GatedLevel(
            f"{type(model).__name__} has gates that each input decides, and {format} has no way to say so; export it "
            "as state-dict, or take its gates out first (`ungated`, `static_twin`)"
        )
    write, check = {
        "state-dict": (_write_state, _check_state),
        "onnx": (write_onnx, _check_onnx),
        "torch-export": (_write_program, _check_program),
        "sparse": (_write_sparse, _check_sparse),
    }[format]
    if format not in STATES and any(t.is_floating_point() and t.dtype != torch.float32 for t in _tensors(model)):
        model = copy.deepcopy(model).float()
    with eval_mode(model), _beside(Path(path), overwrite) as temporary:
        try:
            with torch.no_grad():
                write(model, example, temporary)
                error = check(model, example, temporary)
        except (ExportError, OSError):
            raise
        except Exception as reason:
            why = f"{type(reason).__name__}: {str(reason).partition(chr(10))[0][:200]}"
            raise ExportError(f"{format} of {type(model).__name__} failed: {why}") from reason
        if not error <= (ROUNDED if format not in STATES and is_quantised(model) else TOLERANCE):
            raise ExportError(
                f"{format} of {type(model).__name__} differs from torch by {error:.1e}; nothing is written"
            )
        size = temporary.stat().st_size
    return Exported(Path(path), format, size, error)


def check_format(format: str) -> None:
    """Raise UnknownName if there is no such format."""
    if format not in FORMATS:
        raise UnknownName(f"unknown format {format!r}; known: {', '.join(FORMATS)}")


def check_suffix(path: Path, format: str) -> None:
    """Raise PathError if a file's name doesn't end as those of its format do: other programs go by it."""
    if path.suffix != SUFFIXES[format]:
        raise PathError(f"{path} is to be a {format} file; give it a name that ends with {SUFFIXES[format]}")


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def _write_state(model: nn.Module, example: Tensor, path: Path) -> None:
    from elastic.metadata import write_plain

    write_plain(path, {name: stored(t) for name, t in kept_state(model).items()}, overwrite=True)


def _check_state(model: nn.Module, example: Tensor, path: Path) -> float:
    prove_equal(read_weights(path), kept_state(model))
    return 0.0


def _write_sparse(model: nn.Module, example: Tensor, path: Path) -> None:
    save_sparse(path, model.state_dict(), overwrite=True)


def _check_sparse(model: nn.Module, example: Tensor, path: Path) -> float:
    prove_equal(load_sparse(path), model.state_dict())
    return 0.0


def write_onnx(model: nn.Module, example: Tensor, path: Path) -> None:
    """Write a network in eval mode as ONNX, unchecked: `export` runs it too."""
    if is_quantised(model):
        model = as_qdq(model, _two(example))
    with _quiet():
        program = torch.onnx.export(
            model,
            (_two(example),),
            dynamo=True,
            verbose=False,
            input_names=["input"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        assert program is not None
        for node in program.model.graph.all_nodes():
            node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)  # paths on this machine, at every node
        program.save(path, external_data=False)


def _check_onnx(model: nn.Module, example: Tensor, path: Path) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return _compare(model, example, lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]))


def _write_program(model: nn.Module, example: Tensor, path: Path) -> None:
    with _quiet():
        program = torch.export.export(model, (_two(example),), dynamic_shapes=({0: torch.export.Dim("batch")},))
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths on this machine
        buffer = io.BytesIO()  # torch's own writer ends the whole process when a disk is full
        torch.export.save(program, buffer)
    path.write_bytes(buffer.getbuffer())


def _check_program(model: nn.Module, example: Tensor, path: Path) -> float:
    return _compare(model, example, loaded_program(path))


def loaded_program(path: Path) -> nn.Module:
    """Return a program that `export` wrote, ready to run. It is torch's own format: load none but your own."""
    with _quiet():
        return torch.export.load(path).module()


def _compare(model: nn.Module, example: Tensor, other: Callable[[Tensor], Any]) -> float:
    generator = torch.Generator().manual_seed(0)
    errors = []
    for batch in (1, 3):
        x = torch.randn(batch, *example.shape[1:], generator=generator)
        errors.append(relative_error(other(x), model(x)))
    return max(errors)


def _two(example: Tensor) -> Tensor:
    # A batch of one would be taken for a constant.
    return example[:1].expand(2, *example.shape[1:]).contiguous()


@contextlib.contextmanager
def _beside(path: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary name in the same folder, which becomes `path` if nothing fails."""
    if path.exists() and not overwrite:
        raise OutputExists(f"{path} exists; choose another name, or pass overwrite (--overwrite)")
    if not path.parent.is_dir():
        raise PathError(f"there is no folder {path.parent} to write {path.name} into")
    target = Path(os.path.realpath(path))  # a link stays a link
    partial = target.with_name(f".{secrets.token_hex(8)}.partial{path.suffix}")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as reason:
        first = reason.__cause__ if isinstance(reason, PathError) and reason.__cause__ else reason
        why = getattr(first, "strerror", None) or first
        raise PathError(f"can't write {path}: {why}; what was there is unchanged") from reason
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters print progress and warn of their own deprecations; neither is the user's concern."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
