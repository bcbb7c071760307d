"""thinc: its dropout layer, which keeps a float mask."""

import thinc
from thinc.api import Dropout, NumpyOps

from contenders import Base, refuse


class Contender(Base):
    versions = (("thinc", thinc.__version__),)

    def __init__(self, variant, threads):
        self.ops = NumpyOps()

    def numpy(self, result):
        return result

    def _layer(self, case):
        refuse(case.per_neuron or case.shared_axes, "one rate for all")
        refuse(case.dtype != "float32", "float32 alone")
        return Dropout(case.rate)

    def forward(self, case, x):
        layer = self._layer(case)
        return lambda: layer(x, True)[0]

    def forward_backward(self, case, x, dy):
        layer = self._layer(case)

        def run():
            y, back = layer(x, True)
            return y, back(dy)

        return run

    def mask(self, case):
        get_mask, shape, rate = self.ops.get_dropout_mask, case.shape, case.rate
        return lambda: get_mask(shape, rate)
