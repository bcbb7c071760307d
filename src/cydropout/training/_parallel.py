"""Several processes that each take some rows of every batch, and step as one would."""

from __future__ import annotations

import hashlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, wraps
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cydropout.layers._layer import Parameter
from cydropout.training._batches import Batch

if TYPE_CHECKING:
    from cydropout.training.callbacks.base import Callback

Array = np.ndarray[Any, Any]
_Fit = TypeVar("_Fit", bound=Callable[..., Any])


class Parallel:
    """The processes of an MPI communicator, as a `Trainer` uses them.

    Masks are functions of key, draw and element, so each process draws the rows of its own samples
    of the mask that one process would draw: the run is that of one process, but for the rounding of
    sums.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Or what has its ``rank``, ``size``, ``Allreduce``, ``allgather``, ``bcast`` and ``Abort``.
    """

    def __init__(self, comm: Any) -> None:
        wanted = ("rank", "size", "Allreduce", "allgather", "bcast", "Abort")
        missing = [name for name in wanted if not hasattr(comm, name)]
        if missing:
            raise TypeError(
                f"comm must be a communicator of mpi4py, such as MPI.COMM_WORLD, not {comm!r}, "
                f"which has no {missing[0]}"
            )
        self.comm, self.rank, self.size = comm, comm.rank, comm.size
        self._asks = False

    @property
    def leads(self) -> bool:
        """Whether this process shows the progress and writes the files."""
        return bool(self.rank == 0)

    def check(
        self, trainer: Any, callbacks: Iterable[Callback], smallest: int | None, accumulate: int
    ) -> None:
        """Raise if a model, what measures and watches it, or the batches cannot be shared out."""
        self._asks = smallest is None  # batches of arrays are cut alike
        model, loss = trainer.model, trainer.loss
        for path, layer in [("model", model), *model.named_layers()]:
            if not layer.by_rows:
                raise ValueError(
                    f"{path} ({type(layer).__name__}) computes with all samples of a batch, or "
                    "draws for them by itself: it cannot be trained by several processes"
                )
        try:
            loss.check_weighable()
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{loss!r} cannot be shared out among several processes, each of which has the "
                f"loss of its rows: {error}"
            ) from error
        for callback in callbacks:
            if not callback.by_rows:
                raise ValueError(
                    f"{type(callback).__name__} reads whole batches or writes files by itself: it "
                    "cannot be used by several processes"
                )
        if smallest is not None and smallest < self.size:
            raise ValueError(
                f"the smallest batch has {smallest} samples for {self.size} processes; use "
                "drop_last=True or another batch_size"
            )
        if accumulate > 1:
            raise ValueError("accumulate must be 1 with comm=; use a larger batch_size")

    def begin(self, trainer: Any, settings: Any, data: Any, batch: Batch) -> None:
        """Raise in all processes if they begin with something that differs."""
        stream, targets = trainer.stream, getattr(data, "own", [batch.y])
        self.agree(settings=settings, weights=trainer.model.state_dict(), data=batch.x,
                   targets=dict(enumerate(targets)), stream=[stream.key, stream.next_draw])

    def agree(self, **things: Any) -> None:
        """Raise in all processes if something differs between them."""
        mine = {name: _digest(thing) for name, thing in things.items()}
        found = self.comm.allgather(mine)
        differ = [name for name in mine if len({one.get(name) for one in found}) > 1]
        if differ:
            raise ValueError(
                f"the processes have different {differ[0]}: give all of them the same rng, "
                "model, settings, data and checkpoint"
            )

    def cut(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the rows of this process of each batch; raise if the processes have other ones."""
        for batch in chain(batches, [None]):
            total = 0 if batch is None else len(batch.x)
            if self._asks and len(sizes := {*self.comm.allgather(total)}) > 1:
                raise ValueError(
                    f"the processes brought batches of {sorted(sizes)} samples (0: none was left); "
                    "give all of them the same batches"
                )
            if batch is None:
                return
            if total < self.size:
                raise ValueError(
                    f"a batch of {total} samples is too small for {self.size} processes")
            start, stop = (place * total // self.size for place in (self.rank, self.rank + 1))
            own = {name: None if part is None else part[start:stop]
                   for name, part in zip(Batch._fields[:-1], batch[:-1], strict=True)}
            yield Batch(**own, rows=(start, stop, total))  # type: ignore[arg-type]

    def joined(
        self, value: float, accuracy: float | None, gradient: Array, counts: float,
        backward: Callable[[Array], object], parameters: Mapping[str, Parameter],
    ) -> tuple[float, float | None, Array, float, Callable[[Array], object]]:
        """Return loss, accuracy, gradient and weight of the whole batch, and its backward."""
        mine = np.array([counts, counts * value if counts else 0.0, counts * (accuracy or 0.0)])
        total = np.empty_like(mine)
        self.comm.Allreduce(mine, total)
        weight = float(total[0])
        share = gradient.dtype.type(counts / weight if weight else 0.0)
        loss, right = (float(one) / (weight or 1.0) for one in total[1:])
        return (loss, None if accuracy is None else right, gradient * share, weight,
                partial(self._backward, backward, parameters))

    def _backward(
        self, backward: Callable[[Array], object], parameters: Mapping[str, Parameter], dy: Array
    ) -> None:
        backward(dy)
        grads = [one.gradient.array for one in parameters.values() if one.trainable]
        for dtype in dict.fromkeys(grad.dtype for grad in grads):
            own = [grad for grad in grads if grad.dtype == dtype]
            # MPI knows no floats of 16 bits.
            wide = dtype if dtype.itemsize > 2 else np.dtype(np.float32)
            flat = np.concatenate([grad.reshape(-1) for grad in own]).astype(wide, copy=False)
            total = np.empty_like(flat)
            self.comm.Allreduce(flat, total)
            ends = np.cumsum([grad.size for grad in own])[:-1]
            for grad, part in zip(own, np.split(total, ends), strict=True):
                np.copyto(grad, part.reshape(grad.shape), casting="same_kind")

    def led(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return what the first process measured, so that all decide alike."""
        found: dict[str, Any] = self.comm.bcast(record, root=0)
        return found


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


def ends_all(fit: _Fit) -> _Fit:
    """Have an error of one process end the others too, after its message: they would wait."""

    @wraps(fit)
    def run(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return fit(self, *args, **options)
        except BaseException:
            parallel = getattr(self, "_parallel", None)  # not there without super().__init__()
            if parallel is not None and parallel.size > 1:
                traceback.print_exc()
                sys.stderr.flush()
                time.sleep(0.5)  # a launcher that kills at once forwards nothing more
                parallel.comm.Abort(1)
            raise

    return run  # type: ignore[return-value]
