"""The loop: batches, losses, steps; the same from scratch, after a cut, for norms alone and with a teacher.

Every draw follows from the seed and the number of the step, so a training can go on from any step, in any number of
processes.
"""

import contextlib
import copy
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from elastic.errors import DataError, InvalidRecipe
from elastic.fingerprints import of_weights
from elastic.precision import warn_if_slow
from elastic.recipes import Recipe
from elastic.training.hooks import Hook
from elastic.training.judging import Judge
from elastic.training.keeping import Begun, Standing, read_standing, write_standing
from elastic.training.norms import synced
from elastic.training.objectives import loss_of, prepared
from elastic.training.optimising import load_optimiser, optimiser_of, optimiser_tensors, schedule_of
from elastic.training.order import Order, part_of, seed_of
from elastic.training.records import Epoch, Moment
from elastic.training.results import Result
from elastic.training.telling import RUNS, Teller

KEEP_SECONDS = 60.0  # after which it is written where a training stands, within an epoch too

Images = Dataset[tuple[Tensor, int]]


def train(
    model: nn.Module,
    dataset: Images,
    recipe: Recipe | None = None,
    *,
    validation: Images | None = None,
    teacher: nn.Module | None = None,
    parameters: Sequence[nn.Parameter] | None = None,
    hook: Hook | None = None,
    keep: str | Path | None = None,
    log: str | Path | None = None,
    progress: Callable[[Moment], None] | None = None,
    report: Callable[[Epoch], None] | None = None,
    trackers: Sequence[str] = (),
    leaves_out: bool = False,
) -> tuple[Epoch, ...]:
    """Change the model's weights to those that a recipe makes of them, in eval mode after it; return what was told.

    The model gives logits [n, classes], or several networks' logits as a tuple, in training mode: all but the first
    then have the first as their teacher. `leaves_out` says that a step may use some parameters only.

    Only `parameters` are trained, all of them if None; norms estimate their statistics anew in any case. With a
    `teacher` the loss is partly the distance to its logits. With `validation` images, none of them to be trained on,
    the weights of the epoch that was best on them are taken. `hook` has a say of its own in it.

    With `keep` it is written to that file where the training stands, after each epoch and each minute; the same call
    goes on from there, and ends with the same weights, bit for bit on a CPU with as many threads. `log` is a file of
    one line of JSON for each epoch; `report` is told of each too, and so are `trackers` by the names that accelerate
    has for them ("tensorboard", "wandb", "trackio"), whose files go beside the log. The first of several processes
    alone writes and tells.

    Raises InvalidRecipe if the loss is no number any more or a tracker is not there, DataError if there are too few
    images, what `read_standing` raises for the file.
    """
    recipe = recipe or Recipe()
    chosen = list(model.parameters()) if parameters is None else list(parameters)
    teller = Teller(None if log is None else Path(log), report, trackers)
    run = _Run(model, dataset, recipe, chosen, validation, teacher, hook or Hook(), progress, teller, leaves_out)
    return run.through(None if keep is None else Path(keep))


@dataclass(eq=False)
class _Run:
    model: nn.Module
    dataset: Images
    recipe: Recipe
    chosen: Sequence[nn.Parameter]
    validation: Images | None
    teacher: nn.Module | None
    hook: Hook
    progress: Callable[[Moment], None] | None
    teller: Teller
    leaves_out: bool

    def __post_init__(self) -> None:
        count = _count(self.dataset)
        if count < 2:
            raise DataError(f"there are {count} images to train on; at least 2 are needed")
        unused = DistributedDataParallelKwargs(find_unused_parameters=self.leaves_out)
        log, trackers = self.teller.log, list(self.teller.trackers)
        folder = None if log is None else log.parent / RUNS
        self.accelerator = Accelerator(kwargs_handlers=[unused], log_with=trackers or None, project_dir=folder)
        self.order = Order(count, self.recipe.batch, self.recipe.seed, self.accelerator.num_processes)
        self.steps = self.recipe.epochs * self.order.steps
        self.result = Result(self.model, Judge(self.validation, self.recipe.patience))
        if not self.accelerator.is_main_process:
            self.progress, self.teller = None, Teller(None, None, ())

    def through(self, path: Path | None) -> tuple[Epoch, ...]:
        """Go through all steps that are left."""
        begun = self._begun()
        self.standing, tensors = (Standing(begun=begun), {}) if path is None else read_standing(path, begun)
        home = next(self.model.parameters()).device
        processes = self.accelerator.num_processes
        with _only(self.chosen, self.model), synced(self.model, processes), torch.random.fork_rng():
            self._prepare(tensors)
            self.teller.start(self.accelerator, self.recipe)
            kept = self.began = time.monotonic()
            for images, labels in self._batches():
                self._step(images, labels)
                moment, is_end = self._moment(), self.standing.step % self.order.steps == 0
                if is_end:
                    self._end_epoch(moment)
                if path is not None and (is_end or time.monotonic() - kept > KEEP_SECONDS):
                    self._keep(path)
                    kept = time.monotonic()
                if self.progress is not None:
                    self.progress(moment)
                if self.standing.is_over:
                    break
        self.teller.finish()
        self.accelerator.unwrap_model(self.wrapped, keep_fp32_wrapper=False)
        self.result.take()
        self.model.to(home).eval()
        return tuple(self.standing.epochs)

    def _begun(self) -> Begun:
        chosen = {id(parameter) for parameter in self.chosen}
        names = sorted(name for name, parameter in self.model.named_parameters() if id(parameter) in chosen)
        return Begun(
            recipe=self.recipe,
            weights=of_weights(self.model.state_dict()),
            trained=hashlib.sha256("\n".join(names).encode()).hexdigest(),
            images=_count(self.dataset),
            validation=0 if self.validation is None else _count(self.validation),
            teacher="" if self.teacher is None else of_weights(self.teacher.state_dict()),
            hook=dict(self.hook.settings()),
        )

    def _prepare(self, tensors: Mapping[str, Tensor]) -> None:
        """Change the model to where the training stands, and make what trains it."""
        warn_if_slow(self.recipe.precision, self.accelerator.device)
        self.hook.begin(self.recipe, self.steps)
        optimiser = optimiser_of(self.recipe, self.chosen, self.hook.apart, self.hook.rate)
        self.schedule = schedule_of(self.recipe, optimiser, self.steps, self.standing.step)
        self.model.to(self.accelerator.device)
        self.result.begin(self.recipe.average)
        if tensors:
            self.result.load({part: _under(tensors, part) for part in ("model", "average", "best")})
            load_optimiser(optimiser, _under(tensors, "optimiser"))
            self.hook.load_state(_under(tensors, "hook"))
        self.wrapped, self.optimiser = self.accelerator.prepare(self.model, optimiser)
        self.guide = None
        if self.teacher is not None:
            self.guide = copy.deepcopy(self.teacher).requires_grad_(False).eval().to(self.accelerator.device)

    def _batches(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Return this process's images and labels of each step that is left, made as they are asked for."""
        if self.standing.is_over:
            return ()
        mine = (batch[self._part(len(batch))] for batch in self.order.batches(self.standing.step, self.steps))
        return DataLoader(self.dataset, batch_sampler=mine)

    def _part(self, total: int) -> slice:
        return part_of(total, self.accelerator.process_index, self.accelerator.num_processes)

    def _step(self, images: Tensor, labels: Tensor) -> None:
        """Change the weights once."""
        standing = self.standing
        total = self.order.size(standing.step)
        self.wrapped.train()
        torch.manual_seed(seed_of(self.recipe.seed, standing.step))
        batch = prepared(self.recipe, images, labels, self._part(total), total).to(self.accelerator.device)
        with self._precision():
            made = self.wrapped(batch.images)
            with torch.no_grad():
                wanted = None if self.guide is None else self.guide(batch.images).float()
        made = [logits.float() for logits in (made if isinstance(made, tuple) else (made,))]
        loss = loss_of(made, batch, self.recipe, wanted)
        penalty = self.hook.penalty()
        mean = loss * self.accelerator.num_processes / total  # gradients are averaged over processes
        self.accelerator.backward(mean if penalty is None else mean + penalty)
        self.hook.before_step()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.schedule.step()
        self.hook.after_step()
        self.result.update()
        hits = (made[0].argmax(1) == batch.labels).sum()
        sums = self.accelerator.reduce(torch.stack([loss.detach().double(), hits.double()]))
        if not sums[0].isfinite():
            raise InvalidRecipe(
                f"the loss is {float(sums[0])} in step {standing.step + 1} of {self.steps}: the weights went astray; "
                f"give a lower learning rate than {self.recipe.learning_rate:g}, or a longer warm-up"
            )
        standing.step += 1
        standing.loss += float(sums[0])
        standing.hits += int(sums[1])
        standing.images += total
        now = time.monotonic()
        standing.seconds += now - self.began  # with the time that images took to come
        self.began = now

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16")

    def _moment(self) -> Moment:
        now = self.standing
        speed = now.images / max(now.seconds, 1e-9)
        return Moment(now.step, self.steps, now.loss / now.images, 100 * now.hits / now.images, speed)

    def _end_epoch(self, moment: Moment) -> None:
        standing = self.standing
        number = standing.step // self.order.steps
        told = self.hook.after_epoch(number, self.recipe.epochs)
        epoch = Epoch(
            epoch=number,
            loss=moment.loss,
            top1=moment.top1,
            learning_rate=self.schedule.get_last_lr()[0],
            seconds=standing.seconds,
            images_per_second=moment.images_per_second,
            told=dict(told),
            **self.result.measure(self.accelerator.device),
        )
        standing.epochs.append(epoch)
        standing.loss, standing.hits, standing.images, standing.seconds = 0.0, 0, 0, 0.0
        standing.is_over = self.result.ends(standing.epochs) or self.hook.is_over or standing.step == self.steps
        self.teller.tell(standing.epochs)
        self.began = time.monotonic()

    def _keep(self, path: Path) -> None:
        """Write where the training stands. No process waits for another here: their clocks differ."""
        if not self.accelerator.is_main_process:
            return
        parts = {
            **self.result.tensors(),
            "optimiser": optimiser_tensors(self.optimiser),
            "hook": self.hook.state(),
        }
        tensors = {f"{part}/{name}": tensor for part, found in parts.items() for name, tensor in found.items()}
        write_standing(path, self.standing, tensors)


def _count(images: Images) -> int:
    return len(images)  # type: ignore[arg-type]


def _under(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}/"): found for name, found in tensors.items() if name.startswith(f"{part}/")}


@contextlib.contextmanager
def _only(chosen: Sequence[nn.Parameter], model: nn.Module) -> Iterator[None]:
    """While active, no other parameters get gradients."""
    kept = {id(parameter) for parameter in chosen}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in kept]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)
