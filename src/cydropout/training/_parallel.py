"""Several processes that each take some rows of every batch, and step as one would."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from cydropout._validate import check_choice
from cydropout.layers._layer import Parameter
from cydropout.training._batch import Batch
from cydropout.training._reductions import Fast, Flat, Ordered
from cydropout.training._shares import Sharded, Shares

if TYPE_CHECKING:
    from cydropout.training.callbacks.base import Callback

Array = np.ndarray[Any, Any]
REDUCTIONS: dict[str, type[Fast] | type[Ordered]] = {"fast": Fast, "ordered": Ordered}
_Fit = TypeVar("_Fit", bound=Callable[..., Any])


class Measured(NamedTuple):
    """The mean loss of some samples, its gradient and backward, and for how much it counts."""

    value: float
    accuracy: float | None
    gradient: Array
    weight: float
    backward: Callable[[Array], object]


class Alone:
    """A communicator of one process."""

    rank, size = 0, 1

    def Allreduce(self, mine: Array, total: Array) -> None:
        """Copy."""
        total[...] = mine

    def allgather(self, value: Any) -> list[Any]:
        """Return the value."""
        return [value]

    def bcast(self, value: Any, root: int) -> Any:
        """Return the value."""
        return value


def as_parallel(comm: Any, reduction: str) -> Parallel | None:
    """Return how the processes of a communicator train; None where one does as it likes."""
    check_choice("reduction", reduction, REDUCTIONS)
    if comm is not None:
        wanted = ("rank", "size", "Allreduce", "allgather", "bcast", "Abort")
        missing = [name for name in wanted if not hasattr(comm, name)]
        if missing:
            raise TypeError(
                f"comm must be a communicator of mpi4py, such as MPI.COMM_WORLD, not {comm!r}, "
                f"which has no {missing[0]}"
            )
    if reduction == "fast" and (comm is None or comm.size == 1):
        return None
    return Parallel(Alone() if comm is None else comm, reduction)


class Parallel:
    """The processes of an MPI communicator, as a `Trainer` uses them.

    Masks are functions of key, draw and element, so each process draws the rows of its own samples
    of the mask that one process would draw: the run is that of one process, but for the rounding of
    sums.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Or what has its ``rank``, ``size``, ``Allreduce``, ``allgather``, ``bcast`` and ``Abort``.
    reduction : {"fast", "ordered"}
        How sums are made.
    """

    def __init__(self, comm: Any, reduction: str) -> None:
        self.comm, self.rank, self.size = comm, comm.rank, comm.size
        self._reduction = REDUCTIONS[reduction](comm)
        self._asks, self._sharded = False, False
        self._flat = Flat()

    @property
    def leads(self) -> bool:
        """Whether this process shows the progress and writes the files."""
        return bool(self.rank == 0)

    def exchange(self, value: Any, error: Exception | None = None) -> list[Any]:
        """Return what each process brings; where one brings an error, raise it in all."""
        sent = None if error is None else _sendable(error)
        found = self.comm.allgather((sent, value))
        failed = error or next((one for one, _ in found if one is not None), None)
        if failed is not None:
            raise of_all(failed)
        return [one for _, one in found]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Have an error of one process, before the first step, be one of all.

        All of them meet in `exchange` alone here, where one that has failed says so.
        """
        try:
            yield
        except Exception as error:
            if not is_of_all(error):
                self.exchange(None, error)
            raise
        self.exchange(None)

    def of_first(self, function: Callable[[], Any]) -> Any:
        """Return what a function gives in the first process; raise in all what it raises."""
        found, error = None, None
        if self.leads:
            try:
                found = function()
            except Exception as caught:
                error = caught
        return self.exchange(found, error)[0]

    def sums(self, array: Array) -> Array:
        """Return the sum of an array of numbers over all processes."""
        total = np.empty_like(array)
        self.comm.Allreduce(array, total)
        return total

    def check(self, trainer: Any, callbacks: Iterable[Callback], smallest: int | None) -> None:
        """Raise if a model, what measures and watches it, or the batches cannot be shared out."""
        self._asks = smallest is None  # batches of arrays are cut alike
        model, loss = trainer.model, trainer.loss
        for path, layer in [("model", model), *model.named_layers()]:
            if not (layer.by_rows or (layer.by_sums and trainer.reduction == "fast")):
                how = "with reduction='ordered'" if layer.by_sums else "by several processes"
                raise ValueError(
                    f"{path} ({type(layer).__name__}) computes with all samples of a batch, or "
                    f"draws for them by itself: it cannot be trained {how}"
                )
        try:
            loss.check_weighable()
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{loss!r} cannot be shared out among several processes, or with "
                f"reduction='ordered', where each has the loss of its rows: {error}"
            ) from error
        for callback in callbacks:
            if self.size > 1 and not callback.by_rows:
                raise ValueError(
                    f"{type(callback).__name__} reads whole batches: it cannot be used by several "
                    "processes"
                )
        if smallest is not None and smallest < self.size:
            raise ValueError(
                f"the smallest batch has {smallest} samples for {self.size} processes; use "
                "drop_last=True or another batch_size"
            )

    def begin(self, trainer: Any, settings: Any, data: Any, batch: Batch) -> None:
        """Raise in all processes if they begin with something that differs."""
        stream, targets = trainer.stream, getattr(data, "own", [batch.y])
        same = {} if self._sharded else {"data": batch.x, "targets": dict(enumerate(targets))}
        self.agree(settings=settings, weights=trainer.model.state_dict(), **same,
                   stream=[stream.key, stream.next_draw])

    def agree(self, **things: Any) -> None:
        """Raise in all processes if something differs between them."""
        mine = {name: _digest(thing) for name, thing in things.items()}
        found = self.exchange(mine)
        differ = [name for name in mine if len({one.get(name) for one in found}) > 1]
        if differ:
            raise of_all(ValueError(
                f"the processes have different {differ[0]}: give all of them the same rng, "
                "model, settings, data and checkpoint"
            ))

    def share(self, sharded: bool) -> Shares:
        """Return which samples of arrays a process takes, ``sharded`` where each has its own."""
        self._sharded = sharded and self.size > 1
        if self._sharded and isinstance(self._reduction, Ordered):
            raise ValueError(
                "reduction='ordered' cuts every batch alike for any number of processes, and "
                "sharded=True gives each its own samples; use reduction='fast'"
            )
        return Sharded(self) if self._sharded else Shares(self)

    def cut(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the rows of this process of each batch; raise if the processes have other ones."""
        if not self._asks:  # arrays are cut when they are read
            yield from batches
            return
        for batch in chain(batches, [None]):
            sizes = self.exchange(0 if batch is None else len(batch.x))
            total, wrong = max(sizes), self._sharded and 0 in sizes and any(sizes)
            if wrong or (not self._sharded and len({*sizes}) > 1):
                raise of_all(ValueError(
                    f"the processes brought batches of {sorted({*sizes})} samples (0: none was "
                    "left); give all of them "
                    + ("as many batches" if self._sharded else "the same batches")
                ))
            if batch is None:
                return
            if self._sharded:
                yield batch.part(0, len(batch.x), sum(sizes), sum(sizes[: self.rank]))
                continue
            if total < self.size:
                raise of_all(ValueError(
                    f"a batch of {total} samples is too small for {self.size} processes"))
            yield batch.part(*self.rows(total), total)

    def rows(self, total: int) -> tuple[int, int]:
        """Return where in a batch of so many samples those of this process begin and end."""
        parts = self._parts(total)
        return parts[0][0], parts[-1][1]

    def _parts(self, total: int) -> list[tuple[int, int]]:
        """Return where in a batch the parts of this process begin and end."""
        places, count = self._reduction.parts(total)
        return [(place * total // count, (place + 1) * total // count) for place in places]

    def divided(self, batch: Batch) -> Iterator[Batch]:
        """Yield the parts that this process computes one by one of its rows of a batch."""
        assert batch.rows is not None
        first, _, total = batch.rows
        parts = self._parts(total)
        if len(parts) == 1:
            yield batch
            return
        for start, stop in parts:
            yield batch.part(start - first, stop - first, total, start)

    def joined(
        self, parts: Sequence[Measured], samples: int, parameters: Mapping[str, Parameter],
        is_begun: bool,
    ) -> Measured:
        """Return what all parts of a batch of so many samples, of all processes, are together.

        The gradient is that of the parts that this process has; backward adds up those of all, to
        what was there before if the step ``is_begun``.
        """
        mine = ([np.array([weight, weight * value if weight else 0.0, weight * (accuracy or 0.0)])]
                for value, accuracy, _, weight, _ in parts)
        weight, *sums = self._reduction.total(mine, samples)[0].tolist()
        shares = [one.gradient.dtype.type(one.weight / weight if weight else 0.0) for one in parts]
        scaled = [one.gradient * share for one, share in zip(parts, shares, strict=True)]
        loss, right = (one / (weight or 1.0) for one in sums)
        trained = [one for one in parameters.values() if one.trainable]
        ends = np.cumsum([len(one) for one in scaled])[:-1]

        def gradients(dy: Array) -> Iterator[list[Array]]:
            for one, own in zip(parts, np.split(dy, ends), strict=True):
                for parameter in trained:
                    parameter.zero_grad()
                one.backward(own)
                yield self._flat.of(trained)

        def backward(dy: Array) -> None:
            before = [one.grad.copy() for one in trained] if is_begun else []
            totals = self._reduction.total(gradients(dy), samples)
            for flat, total in zip(self._flat.arrays, totals, strict=True):
                if flat is not total:
                    np.copyto(flat, total)
            for one, held in zip(trained, before, strict=False):
                one.grad = held + one.grad

        accuracy = None if parts[0].accuracy is None else right
        return Measured(loss, accuracy, np.concatenate(scaled), weight, backward)

    def led(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return what the first process measured, so that all decide alike."""
        found: dict[str, Any] = self.comm.bcast(record, root=0)
        return found


def of_all(error: Exception) -> Exception:
    """Say of an error that all processes raise it alike, so that none waits for another."""
    error.of_all = True  # type: ignore[attr-defined]
    return error


def is_of_all(error: BaseException) -> bool:
    """Whether all processes raise an error alike."""
    return bool(getattr(error, "of_all", False))


def _sendable(error: Exception) -> Exception:
    """Return an error as it can be sent: itself, or what it says."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _digest(thing: Any) -> str:
    found = hashlib.sha256()
    if isinstance(thing, np.ndarray):
        found.update(f"{thing.dtype} {thing.shape}".encode())
        found.update(np.ascontiguousarray(thing).tobytes())
    elif isinstance(thing, Mapping) and any(isinstance(v, np.ndarray) for v in thing.values()):
        found.update(json.dumps({k: _digest(v) for k, v in thing.items()}).encode())
    else:
        found.update(json.dumps(thing, sort_keys=True, default=str).encode())
    return found.hexdigest()


def end_all(comm: Any, code: int) -> None:
    """End all processes with that exit status, when the message has gone out."""
    sys.stderr.flush()
    time.sleep(0.5)  # a launcher that kills at once forwards nothing more
    comm.Abort(code)


def ends_all(fit: _Fit) -> _Fit:
    """Have an error of one process end the others too, after its message: they would wait."""

    @wraps(fit)
    def run(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return fit(self, *args, **options)
        except BaseException as error:
            parallel = getattr(self, "_parallel", None)  # not there without super().__init__()
            if parallel is not None and parallel.size > 1 and not is_of_all(error):
                traceback.print_exc()
                end_all(parallel.comm, 1)
            raise

    return run  # type: ignore[return-value]
