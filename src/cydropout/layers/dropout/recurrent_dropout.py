"""RecurrentDropout: drop what would be added to the state, never what is remembered."""

from __future__ import annotations

from functools import partial
from typing import Any

from cydropout import functional
from cydropout.functional.recurrent_dropout import check_gated
from cydropout.layers._layer import Array, Context, Shape
from cydropout.layers._settings import OneOf
from cydropout.layers.dropout._shared import SharedDropout

SPANS = ("step", "sequence")


class RecurrentDropout(SharedDropout):
    """y = mask(candidate): dropout of the update that a recurrent cell adds to its state.

    The candidates have shape (batch, units), one step, or (batch, steps, units). At inference
    nothing is drawn, and with inverted scaling the input itself is returned. `update` runs the
    whole gated update.

    Parameters
    ----------
    rate : float or array
        Probability of dropping; an array gives one rate per unit.
    per : {"step", "sequence"}
        A mask for each step of an input that has an axis of steps, or one for all of them. Where
        the steps come one by one, a context whose ``masks`` go from step to step holds one mask
        for the sequence, and one without them draws a mask for each step.
    scaling, storage, name
        As for `Dropout`.

    References
    ----------
    Semeniuta, Severyn, Barth, "Recurrent dropout without memory loss", COLING 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layers.RecurrentDropout(0.5).forward(np.ones((2, 4), "f4"), ctx)
    >>> y
    array([[2., 2., 0., 0.],
           [2., 0., 0., 0.]], dtype=float32)
    """

    per = OneOf(SPANS, "step")

    def along(self, shape: Shape) -> tuple[int, ...]:
        """Return the axis of the steps, where there is one and it shares the mask."""
        if len(shape) not in (2, 3):
            raise ValueError(
                f"{self.path} needs an input (batch, units) or (batch, steps, units), not {shape}"
            )
        return (1,) if self.per == "sequence" and len(shape) == 3 else ()

    def update(
        self,
        previous: Array,
        forget: Array,
        gate: Array,
        candidate: Array,
        ctx: Context,
        mask: Any = None,
    ) -> tuple[Array, Any]:
        """Return ``forget * previous + gate * mask(candidate)`` and its backward.

        Parameters
        ----------
        previous, forget, gate, candidate : array
            float32 or float64, of one shape: see `cydropout.functional.gated_update`.
        ctx, mask
            As for `forward`.

        Returns
        -------
        y : array
        backward : callable
            Takes dy to the tuple of the four gradients, in the order of the arguments.
        """
        # A draw is taken for arrays that fit, and for no others.
        (previous, forget, gate, candidate), _ = check_gated(
            None, previous=previous, forget=forget, gate=gate, candidate=candidate
        )
        options: dict[str, Any] = {
            "previous": previous, "forget": forget, "gate": gate, "candidate": candidate,
            "num_threads": ctx.num_threads,
        }

        def run() -> tuple[Array, Any]:
            options["mask"] = ctx.mask_for(self, candidate.shape, mask)
            return functional.gated_update(**options), partial(
                functional.gated_update_backward, **options
            )

        return run() if ctx.stream is None else ctx.stream.restoring(run)
