"""WeightDropout: drop entries of the parameters of any layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from cydropout.layers._layer import Array, Backward, Context, Parameter, restoring_draws
from cydropout.layers._settings import Checked
from cydropout.layers._wrapper import Wrapper
from cydropout.layers.dropout._weight_noise import WeightNoise


def check_names(names: Any) -> tuple[str, ...]:
    """Return the names of parameters as a tuple."""
    found = (names,) if isinstance(names, str) else tuple(names)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"parameters must be one name or more, each once, not {found!r}")
    return found


class WeightDropout(WeightNoise, Wrapper):
    """Run ``layer`` with ``mask(W)`` in the place of each parameter ``W`` that is named.

    A mask zeroes each entry with probability ``rate`` and scales the rest by ``1 / (1 - rate)``.
    One is drawn for each parameter and pass, so that all samples, and all steps of a recurrent
    layer, share it. At inference nothing is drawn, and the layer runs as it is. At rate 1 it runs
    with zeros; an input of NaN times a dropped entry is NaN still, as it is 0 times NaN.

    Parameters
    ----------
    layer : Layer
        The layer inside.
    rate : float
        Probability of dropping an entry; may be set again at any time.
    parameters : sequence of str
        Names of the parameters, as in the layer's `named_parameters`: "weight", or of a layer
        within a `Sequential` "0.dense.weight".
    storage : {"bits", "seed"}
        Keep the masks for the backward pass as bits, or draw them again.
    name : str, optional
        Name within a `Sequential`.

    Raises
    ------
    ValueError
        In a training pass, if the layer has no parameter of a name.

    References
    ----------
    Merity, Keskar, Socher, "Regularizing and optimizing LSTM language models", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import MaskStream, layers
    >>> layer = layers.WeightDropout(layers.Dense(2), 0.5)
    >>> layer.build((4,), 0)
    >>> layer.parameters()[0].value[...] = 1
    >>> ctx = layers.Context(training=True, stream=MaskStream(0))
    >>> y, backward = layer.forward(np.ones((1, 4), "f4"), ctx)
    >>> y.round(2)
    array([[4., 2.]], dtype=float32)
    """

    positional = "layer rate parameters"
    dropped = Checked(check_names, ("weight",), key="parameters")

    @restoring_draws
    def forward(
        self, x: Array, ctx: Context, mask: Any = None
    ) -> tuple[Array, Backward]:
        """Run the layer inside; its gradients go through the masks.

        Parameters
        ----------
        x : array
            What the layer inside takes.
        ctx : Context
            Of the pass.
        mask : mask or array of bool, or dict of them, optional
            Used instead of one that is drawn; a dict by the parameter's name.
        """
        if not ctx.training:
            return self.layer.forward(x, ctx.entering(self.layer))
        real = self._dropped_parameters()
        thinned = {
            name: Parameter(p.value, p.name, trainable=p.trainable) for name, p in real.items()
        }
        # What the layer refuses, it refuses before a draw is taken.
        twin = self.layer.with_parameters(thinned)
        self.layer.output_shape(np.shape(x)[1:])
        used = ctx.mask_for(self, {name: p.value.shape for name, p in real.items()}, mask)
        threads = ctx.num_threads
        for name, parameter in thinned.items():
            parameter.value = used[name].apply(parameter.value, num_threads=threads)
        y, back = twin.forward(x, ctx.entering(twin))

        def backward(dy: Array) -> Array:
            for parameter in thinned.values():
                parameter.zero_grad()
            dx = back(dy)
            for name, parameter in thinned.items():
                if parameter.trainable:
                    grad = parameter.grad
                    real[name].accumulate(used[name].backward(grad, out=grad, num_threads=threads))
            return dx

        return y, backward

    def _dropped_parameters(self) -> dict[str, Parameter]:
        found = dict(self.layer.named_parameters())
        missing = [name for name in self.dropped if name not in found]
        if missing:
            hint = "" if found else " (a layer has no parameters before build)"
            raise ValueError(
                f"{self.layer.path} has no parameters {missing}; it has {[*found]}{hint}"
            )
        return {name: found[name] for name in self.dropped}
