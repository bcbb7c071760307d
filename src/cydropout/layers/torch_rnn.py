"""TorchRecurrent: the parameters of a recurrent layer as the layers of `torch.nn` hold them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .base import Array, Layer


class TorchRecurrent(Layer):
    """Exchange of parameters with `torch.nn.RNN`, `LSTM` and `GRU` of one layer.

    The gates have the same order there; matrices are transposed, and of the two biases, which
    are added up, only the last part of a GRU's stands apart.
    """

    units: int
    bias: bool

    def torch_state(self) -> dict[str, Array]:
        """Return the parameters by the names, and in the layout, of the layer of `torch.nn`."""
        state = {name: parameter.value for name, parameter in self._parameters.items()}
        found = {
            "weight_ih_l0": state["weight"].T.copy(),
            "weight_hh_l0": state["recurrent_weight"].T.copy(),
        }
        if self.bias:
            found["bias_ih_l0"] = state["bias"].copy()
            found["bias_hh_l0"] = np.zeros_like(state["bias"])
            if "inner_bias" in state:
                found["bias_hh_l0"][-self.units :] = state["inner_bias"]
        return found

    def load_torch_state(self, state: Mapping[str, Array]) -> None:
        """Copy the parameters of a layer of `torch.nn`; its two biases are added up.

        Raises
        ------
        ValueError
            If names are missing or left over, or a shape differs.
        """
        own = self.torch_state()
        if own.keys() != state.keys():
            raise ValueError(f"{self.path} needs {sorted(own)}, got {sorted(state)}")
        arrays = {name: np.asarray(value) for name, value in state.items()}
        for name, value in own.items():
            if arrays[name].shape != value.shape:
                raise ValueError(
                    f"{name} has shape {arrays[name].shape}, {self.path} needs {value.shape}"
                )
        values = {name: parameter.value for name, parameter in self._parameters.items()}
        np.copyto(values["weight"], arrays["weight_ih_l0"].T)
        np.copyto(values["recurrent_weight"], arrays["weight_hh_l0"].T)
        if self.bias:
            outer, inner = arrays["bias_ih_l0"], np.array(arrays["bias_hh_l0"])
            if "inner_bias" in values:
                np.copyto(values["inner_bias"], inner[-self.units :])
                inner[-self.units :] = 0
            np.copyto(values["bias"], outer + inner)
