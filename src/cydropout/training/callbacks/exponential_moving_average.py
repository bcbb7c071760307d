"""ExponentialMovingAverage: a model of averages of the weights that training goes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cydropout._validate import check_number
from cydropout.layers._layer import Layer
from cydropout.training.callbacks.base import Callback, Trainer

Array = np.ndarray[Any, Any]


class ExponentialMovingAverage(Callback):
    """``a = decay a + (1 - decay) w`` after every step, of each parameter ``w``, from ``a = w`` on.

    With the last batch of an epoch the averages take the parameters' places: they are what is
    validated, what `EarlyStopping` keeps and what a checkpoint holds as the model. The next epoch
    goes on from the parameters, which are the same to the bit as without the averages. The model of
    a run that ends has the averages; one that Ctrl-C or an error ended within an epoch has the
    parameters. `swap` exchanges them. Running averages of a `BatchNorm` are averaged too.

    Parameters
    ----------
    decay : float
        Share of the average that stays in a step, in [0, 1).

    Attributes
    ----------
    swapped : bool
        Whether the model has the averages now.

    References
    ----------
    Polyak, Juditsky 1992, "Acceleration of stochastic approximation by averaging"; Tarvainen,
    Valpola 2017, "Mean teachers are better role models".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import Trainer
    >>> from cydropout.layers import Dense
    >>> from cydropout.training.callbacks import ExponentialMovingAverage
    >>> trainer = Trainer(Dense(1), "mean_squared_error", "sgd", rng=0)
    >>> x, average = np.ones((8, 2), "float32"), ExponentialMovingAverage(0.9)
    >>> history = trainer.fit(x, x[:, :1], epochs=2, callbacks=average, progress=False)
    >>> average.swapped
    True
    >>> average.swap(trainer.model)
    """

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = check_number("decay", decay, "[0, 1)")
        self.swapped = False
        self._average: dict[str, Array] = {}
        self._steps = 0

    def swap(self, model: Layer) -> None:
        """Give a model the averages, and keep its parameters; a second time gives them back."""
        for name, parameter in model.named_parameters():
            held = parameter.value.copy()
            np.copyto(parameter.value, self._average[name])
            self._average[name] = held
        self.swapped = not self.swapped

    def on_train_begin(self, trainer: Trainer, metrics: tuple[str, ...]) -> None:
        """Begin with the parameters as they are."""
        self.swapped, self._steps = False, trainer.optimizer.steps
        self._average = trainer.model.state_dict()

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Give the parameters back."""
        if self.swapped:
            self.swap(trainer.model)

    def on_batch_end(
        self, trainer: Trainer, epoch: int, step: int, record: Mapping[str, float]
    ) -> None:
        """Take in the parameters, if the optimizer has stepped since."""
        if trainer.optimizer.steps == self._steps:
            return
        self._steps = trainer.optimizer.steps
        for name, parameter in trainer.model.named_parameters():
            average = self._average[name]
            average += (1.0 - self.decay) * (parameter.value - average)

    def on_batches_end(self, trainer: Trainer, epoch: int) -> None:
        """Have the averages measured."""
        self.on_batch_end(trainer, epoch, 0, {})
        self.swap(trainer.model)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"decay": self.decay}

    def state_dict(self) -> dict[str, Any]:
        """Return what the model does not have now, averages or parameters, and the steps."""
        average = {name: array.copy() for name, array in self._average.items()}
        return {"average": average, "swapped": self.swapped, "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self._average = {name: np.array(array) for name, array in state["average"].items()}
        self.swapped, self._steps = bool(state["swapped"]), int(state["steps"])
