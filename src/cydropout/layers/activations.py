"""Activations: one function applied to every element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cydropout.layers._fused import bias_activation_dropout
from cydropout.layers._layer import Array, Backward, Context, Layer, as_float, as_gradient
from cydropout.layers._settings import Number

if TYPE_CHECKING:
    from typing_extensions import Self


class Activation(Layer):
    """Base of the activations: any shape in, the same shape and dtype out.

    float16 and bfloat16 are computed in float32 and rounded once.

    Examples
    --------
    >>> from cydropout import layers
    >>> issubclass(layers.ReLU, layers.Activation)
    True
    """

    with_lengths = "keep"
    function: ClassVar[str] = "linear"
    a: Any = 1.0

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """Raise for the base itself."""
        if cls is Activation:
            raise TypeError(
                "Activation is the base of the activations: use one of them, as in ReLU(), or the "
                "activation of a layer, as in Dense(8, activation='relu')"
            )
        return super().__new__(cls)

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``act(x)`` and the function that multiplies by its derivative."""
        x = as_float(x, self.path)
        shape, dtype = x.shape, x.dtype
        wide = np.dtype("float64" if dtype == np.float64 else "float32")
        z = np.ascontiguousarray(x, wide)
        y, back = bias_activation_dropout(z, None, self.function, None, ctx, a=self.a)

        def backward(dy: Array) -> Array:
            dx, _ = back(as_gradient(dy, shape, wide).reshape(z.shape))
            return dx.astype(dtype, copy=False).reshape(shape)

        return y.astype(dtype, copy=False).reshape(shape), backward


class ReLU(Activation):
    """``max(x, 0)``; the derivative at 0 is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> y, backward = layers.ReLU().forward(np.array([-1.0, 0.0, 2.0]), layers.Context())
    >>> y.round(3)
    array([0., 0., 2.])
    >>> backward(np.ones(3)).round(3)
    array([0., 0., 1.])
    """

    function = "relu"


class Sigmoid(Activation):
    """``1 / (1 + exp(-x))``.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> y, backward = layers.Sigmoid().forward(np.array([-1.0, 0.0, 2.0]), layers.Context())
    >>> y.round(3)
    array([0.269, 0.5  , 0.881])
    >>> backward(np.ones(3)).round(3)
    array([0.197, 0.25 , 0.105])
    """

    function = "sigmoid"


class Tanh(Activation):
    """``tanh(x)``.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> y, backward = layers.Tanh().forward(np.array([-1.0, 0.0, 2.0]), layers.Context())
    >>> y.round(3)
    array([-0.762,  0.   ,  0.964])
    >>> backward(np.ones(3)).round(3)
    array([0.42 , 1.   , 0.071])
    """

    function = "tanh"


class Softplus(Activation):
    """``log(1 + exp(a x)) / a``, stable for large ``|a x|``.

    Parameters
    ----------
    a : float
        Sharpness: the larger, the closer to `ReLU`.
    name : str, optional
        Name within a `Sequential`.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> y, backward = layers.Softplus().forward(np.array([-1.0, 0.0, 2.0]), layers.Context())
    >>> y.round(3)
    array([0.313, 0.693, 2.127])
    >>> backward(np.ones(3)).round(3)
    array([0.269, 0.5  , 0.881])
    """

    function = "softplus"
    positional = "a"
    a = Number(1.0, "(0, inf)")

class SELU(Activation):
    """``s x`` for ``x > 0``, else ``s b (exp(x) - 1)``; ``s = 1.0507...``, ``b = 1.6732...``.

    References
    ----------
    Klambauer et al. 2017, "Self-normalizing neural networks".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> y, backward = layers.SELU().forward(np.array([-1.0, 0.0, 2.0]), layers.Context())
    >>> y.round(3)
    array([-1.111,  0.   ,  2.101])
    >>> backward(np.ones(3)).round(3)
    array([0.647, 1.758, 1.051])
    """

    function = "selu"


class GELU(Activation):
    """``x P(N(0, 1) <= x) = x (1 + erf(x / sqrt(2))) / 2``.

    References
    ----------
    Hendrycks & Gimpel 2016, "Gaussian error linear units".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import layers
    >>> y, backward = layers.GELU().forward(np.array([-1.0, 0.0, 2.0]), layers.Context())
    >>> y.round(3)
    array([-0.159,  0.   ,  1.954])
    >>> backward(np.ones(3)).round(3)
    array([-0.083,  0.5  ,  1.085])
    """

    function = "gelu"
