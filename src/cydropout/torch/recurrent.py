"""Recurrent networks with dropout between their layers: each layer runs by itself."""

from typing import Any

from cydropout.torch import functional
from cydropout.torch._torch import torch

_nn: Any = torch.nn
_VF: Any = torch._VF


def _layered(own: type, name: str) -> Any:
    """Return the class that stands for one of PyTorch's."""
    states = 2 if name == "lstm" else 1

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        packed = isinstance(input, _nn.utils.rnn.PackedSequence)
        if packed or not self.training or not self.dropout or self.num_layers == 1:
            return own.forward(self, input, hx)  # type: ignore[attr-defined]
        function = getattr(_VF, f"{name}_{self.nonlinearity}" if name == "rnn" else name)
        alone = input.dim() == 2
        batch_axis = 0 if self.batch_first else 1
        x = input.unsqueeze(batch_axis) if alone else input
        directions = 2 if self.bidirectional else 1
        if hx is None:
            shape = (self.num_layers * directions, x.size(batch_axis))
            sizes = [getattr(self, "proj_size", 0) or self.hidden_size, self.hidden_size]
            given = [x.new_zeros(*shape, size) for size in sizes[:states]]
        else:
            given = list(hx) if states == 2 else [hx]
            given = [state.unsqueeze(1) for state in given] if alone else given
        # The last states of every layer, and the weights of one after the other.
        last: list[list[Any]] = [[] for _ in given]
        each = len(self._flat_weights) // self.num_layers
        for layer in range(self.num_layers):
            if layer:
                x = functional.dropout(x, self.dropout)
            rows = slice(layer * directions, (layer + 1) * directions)
            first = [state[rows] for state in given]
            weights = self._flat_weights[layer * each : (layer + 1) * each]
            x, *ends = function(
                x, first if states == 2 else first[0], weights, self.bias, 1, 0.0, True,
                self.bidirectional, self.batch_first,
            )
            for found, end in zip(last, ends, strict=True):
                found.append(end)
        ends = [torch.cat(found) for found in last]
        if alone:
            x, ends = x.squeeze(batch_axis), [end.squeeze(1) for end in ends]
        return x, tuple(ends) if states == 2 else ends[0]

    doc = f"`torch.nn.{own.__name__}` whose dropout between layers runs here."
    return type(own.__name__, (own,), {"forward": forward, "__doc__": doc, "__module__": __name__})


LSTM = _layered(_nn.LSTM, "lstm")
GRU = _layered(_nn.GRU, "gru")
RNN = _layered(_nn.RNN, "rnn")
