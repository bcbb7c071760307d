"""The nets and how each is trained, and the rows of the table that they answer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from cydropout.layers import BatchwiseDropout, Dense, DropConnect, Dropout, Flatten, Sequential
from cydropout.training import optimizers, schedules

PIXELS = 28 * 28


@dataclass(frozen=True)
class Recipe:
    """A net and its training; the learning rate falls along a cosine to 0 in the last epoch."""

    text: str
    hidden: tuple[int, ...]
    model: Callable[[tuple[int, ...]], Sequential]
    optimizer: Callable[[], optimizers.Optimizer]
    epochs: int
    batch: int = 128

    @property
    def work(self):
        """How many products a sample takes, up to a constant: a measure of time."""
        sizes = (PIXELS, *self.hidden, 10)
        return sum(a * b for a, b in pairwise(sizes))

    def learning_rate(self, epochs):
        """Return the learning rate as a function of the epoch, from 1."""
        falling = schedules.Cosine(self.optimizer().learning_rate, 0.0, epochs)
        return lambda epoch: falling(epoch - 1)


@dataclass(frozen=True)
class Row:
    """A figure of a paper, and what the mean over the seeds of a recipe is to be, in percent."""

    text: str
    recipe: str
    paper: float | None
    least: float = 0.0
    most: float | None = None

    def target(self):
        if self.most is None:
            return "reported"
        return f"{self.least:g}-{self.most:g}" if self.least else f"at most {self.most:.2f}"


def net(hidden, *, noise=None, visible=0.0, rate=0.0, max_norm=None):
    """Return ReLU layers with ``noise`` after the input and after each of them."""
    layers = [Flatten(28, 28)]
    if visible:
        layers.append(noise(visible))
    for units in hidden:
        layers.append(Dense(units, activation="relu", init="he", max_norm=max_norm))
        if rate:
            layers.append(noise(rate))
    return Sequential([*layers, Dense(10)])


def connect(hidden):
    """Return ReLU layers whose weights are dropped, and at inference the mean over the noise."""
    layers = [DropConnect(units, 0.5, activation="relu", init="he", inference="gaussian")
              for units in hidden]
    return Sequential([Flatten(28, 28), *layers, Dense(10)])


adam = partial(optimizers.Adam, 0.001)
dropout = partial(net, noise=Dropout, visible=0.2, rate=0.5)
batchwise = partial(net, noise=BatchwiseDropout, visible=0.2, rate=0.5, max_norm=2.0)
two, three = (800, 800), (1024, 1024, 1024)

RECIPES = {
    "plain": Recipe("no noise; Adam 0.001", two, net, adam, 50),
    "dropout": Recipe("Dropout .2 and .5; Adam 0.001", three, dropout, adam, 100),
    "max-norm": Recipe("Dropout .2 and .5, c = 2; Adam 0.001, for SGD 0.05, which was given up "
                       "after 12 epochs at 3.03 %", three,
                       partial(dropout, max_norm=2.0), adam, 120),
    "batchwise": Recipe("BatchwiseDropout .2 and .5, c = 2; Adam 0.001", three, batchwise, adam,
                        100),
    "hidden": Recipe("Dropout .5, none of the input; Adam 0.001", two,
                     partial(net, noise=Dropout, rate=0.5), adam, 80),
    "short-dropout": Recipe("Dropout .5; Adam 0.001", two,
                            partial(net, noise=Dropout, rate=0.5), adam, 20),
    "short-batchwise": Recipe("BatchwiseDropout .5; Adam 0.001", two,
                              partial(net, noise=BatchwiseDropout, rate=0.5), adam, 20),
    "short-slice": Recipe("BatchwiseDropout .5, a slice; Adam 0.001", two,
                          partial(net, noise=partial(BatchwiseDropout, layout="slice"), rate=0.5),
                          adam, 20),
    "connect": Recipe("DropConnect .5, one mask for a batch; Adam 0.001", two, connect, adam, 80),
}
ROWS = (
    Row("2 x 800, ReLU, no dropout", "plain", 1.60, 1.5, 1.8),
    Row("3 x 1024, ReLU, dropout", "dropout", 1.25, most=1.25),
    Row("the same + max-norm", "max-norm", 1.06, most=1.10),
    Row("the same with batchwise dropout", "batchwise", None),
    Row("784-800-800, none", "plain", 1.62),
    Row("784-800-800, dropout", "hidden", 1.28),
    Row("784-800-800, DropConnect", "connect", 1.20),
    Row("2 x 800 in 20 epochs, dropout", "short-dropout", None),
    Row("the same with batchwise dropout", "short-batchwise", None),
    Row("the same with batchwise dropout of a slice", "short-slice", None),
)
#: From the largest error to the smallest.
ORDER = ("plain", "hidden", "connect")
