"""Folders: a live network as a folder that hubs of models know, with a card that a person reads."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from elastic.checkpoint import save_again
from elastic.data.preprocessing import Preprocessing
from elastic.errors import DataError, PathError
from elastic.metadata import Header, level_digest, tensor_digest
from elastic.metadata.replacing import replacing
from elastic.modes import eval_mode
from elastic.planned import load_plan
from elastic.runtime.live import Live
from elastic.sizes import size_text
from elastic.tensors import stored
from elastic.version import VERSION

FILE, CARD = "model.safetensors", "README.md"


class _Weights:
    """What `save_again` asks of a model."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Tensor]:
        return self.state


def save_into(live: Live, kind: type[nn.Module], network: Any, folder: Path, *, overwrite: bool) -> Path:
    """Write all levels as they are now, and a card; return the file's path.

    Raises PathError if the largest level was never loaded, OutputExists.
    """
    header, path = live.stores.layout.header, live.stores.layout.path
    last = len(header.levels) - 1
    if live.stores.top < last:
        raise PathError(
            f"only {len(network.levels)} of {last + 1} levels of {path} are loaded; grow to "
            f"{header.levels[last].name!r} first, or copy the file"
        )
    states = {level: live.state(level) for level in range(last + 1) if level not in live.packed}
    as_saved = [_digest(live.kept(level)) == header.levels[level].digest for level in range(last + 1)]
    folder.mkdir(parents=True, exist_ok=True)
    save_again(
        folder / FILE, header, load_plan(path), _Weights(states[last]),  # type: ignore[arg-type]
        {level: states[level] for level in states if level != last},
        recipe={},
        metrics={level.name: level.metrics for level, same in zip(header.levels, as_saved, strict=True) if same},
        made=_plain_levels(network, list(live.packed)),
        contract=header.contract,
        overwrite=overwrite,
    )  # fmt: skip
    with replacing(folder / CARD, overwrite=overwrite) as file:
        file.write(card(header, kind.__name__, as_saved).encode())
    return folder / FILE


def file_in(folder: Path) -> Path:
    """Return the file of a folder. Raises PathError if there is none."""
    if not (folder / FILE).is_file():
        raise PathError(f"{folder} has no {FILE}; give a folder that save_pretrained wrote, fetched from its hub first")
    return folder / FILE


def card(header: Header, kind: str, as_saved: list[bool]) -> str:
    """Return a model card: what a hub's page shows."""
    measured = sorted({name for level in header.levels for name in level.metrics})
    rows = [["level", "params", "MACs", "size", *measured]]
    rows += [["---", *["---:"] * (3 + len(measured))]]
    for level, same in zip(header.levels, as_saved, strict=True):
        found = [f"{level.metrics[name]:.2f}" if same and name in level.metrics else "" for name in measured]
        rows.append([level.name, f"{level.params:,}", f"{level.macs:,}", size_text(level.bytes), *found])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    name = header.model.get("name") or kind
    return f"""---
library_name: elastic
tags: [pruning, elastic]
---

# {name}, in {len(header.levels)} sizes

One file with every size of this network (contract: {header.contract}; written by elastic {VERSION}).

{table}

```python
from elastic import ElasticModel

net = ElasticModel.from_pretrained("FOLDER", level="{header.levels[0].name}")
net.grow("{header.levels[-1].name}")  # reads only what is missing
net.switch("{header.levels[0].name}")  # in place
```
"""


def example_of(header: Header, like: Tensor) -> Tensor:
    """Return one image of noise of the size that a header gives. Raises DataError if it gives none."""
    if not header.input:
        raise DataError("the file doesn't say what its input looks like; give an example")
    return Preprocessing.from_dict(header.input, where="the file").example().to(like.device, like.dtype)


def _plain_levels(network: Any, levels: list[int]) -> dict[int, nn.Module]:
    """Return ordinary networks of levels; the network is at its own again after it."""
    before, found = network.level, {}
    with eval_mode(network):
        for level in levels:
            found[level] = network.switch(level).plain()
        network.switch(before)
    return found


def _digest(state: dict[str, Tensor]) -> str:
    return level_digest({name: tensor_digest(stored(tensor)) for name, tensor in state.items()})
