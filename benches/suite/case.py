"""One measurement: what is computed, on what, by how many threads."""

import dataclasses
import math

import numpy as np

#: What a figure is, as it is written.
NS_PER_ELEMENT = "ns/element"
US_PER_CALL = "µs/call"
US_PER_STEP = "µs/step"
BYTES_PER_ELEMENT = "bytes/element"
SECONDS_PER_EPOCH = "s/epoch"
MS_PER_STEP = "ms/step"
TEST_ERROR = "% test error"
#: Networks by what they learn, and those of them that predict the next character.
NETWORKS = {"images": "CNN", "characters": "LSTM", "sentences": "transformer"}
TEXTS = ("characters", "sentences")
#: Characters of their text.
VOCABULARY = 65
#: Steps in a run of a user's loop: what a call leaves behind is paid by the next ones.
STEPS = 8
#: The samples of an epoch, however many a run takes.
EPOCH = 60_000
_PATTERN = 2**20


@dataclasses.dataclass(frozen=True)
class Case:
    """An operation of the contenders, with the arrays it gets.

    Attributes
    ----------
    operation : str
        The name of a method of the contenders.
    shape, dtype : of the input
    rate : float
        Of all elements; if `per_neuron`, the columns have rates from 0.2 to 0.8 times it.
    shared_axes : axes along which elements share one random number
    threads : the numbers of threads to race, each contender with each; 0 stands for all
    contenders : which take part; all if empty
    limit : whether the scale copies run beside it
    variant : which one, of the operations "variant" and "network"; of "after_product" the library
        whose work stands before dropout
    hidden, batch : units of the hidden layers and samples of a step, where a network is trained
    neighbour : whether another process keeps a core busy
    """

    operation: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    rate: float = 0.5
    per_neuron: bool = False
    shared_axes: tuple[int, ...] = ()
    threads: tuple[int, ...] = (0,)
    unit: str = NS_PER_ELEMENT
    contenders: tuple[str, ...] = ()
    limit: bool = True
    variant: str = ""
    hidden: tuple[int, ...] = ()
    batch: int = 0
    neighbour: bool = False

    @classmethod
    def from_json(cls, fields):
        """Return the case that `dataclasses.asdict` and JSON turned into lists."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def per_second(self):
        """What a run of one second means in the unit of the case."""
        if self.unit == SECONDS_PER_EPOCH:
            return EPOCH / self.shape[0] / self.epochs
        if self.unit == MS_PER_STEP:
            return 1e3 * self.batch / self.shape[0]
        if self.unit == US_PER_STEP:
            return 1e6 / STEPS
        return 1e6 if self.unit == US_PER_CALL else 1e9 / self.size

    @property
    def epochs(self):
        """How many epochs a run has: of few samples some, as every fit of an estimator has."""
        few = self.operation in ("classifier", "regressor") and self.shape[0] < 10_000
        return 10 if few else 1

    @property
    def uses_blas(self):
        """Whether threads of BLAS are awake for a while behind a run."""
        return bool(self.batch) or self.unit == US_PER_STEP

    @property
    def classes(self):
        """What a network tells apart: digits, or the characters of a text."""
        if self.operation == "regressor":
            return 1
        return VOCABULARY if self.variant in TEXTS else 10

    @property
    def nbytes(self):
        return self.size * {"float64": 8, "float32": 4}.get(self.dtype, 2)

    @property
    def numpy_dtype(self):
        """The NumPy dtype; bfloat16 is that of ml_dtypes."""
        if self.dtype == "bfloat16":
            try:
                import ml_dtypes
            except ImportError:
                raise NotImplementedError("bfloat16 needs ml_dtypes") from None
            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.dtype)

    @property
    def rates(self):
        """The rate, or the rates of the columns: between 0.2 and 0.8 of the rate, float64."""
        if not self.per_neuron:
            return self.rate
        return self.rate * np.linspace(0.2, 0.8, self.shape[-1])

    @property
    def mask_shape(self):
        """The shape with 1 along the shared axes."""
        return tuple(1 if a in self.shared_axes else n for a, n in enumerate(self.shape))

    def array(self, seed):
        """Return an array of the case: normal numbers, none of them 0, that repeat."""
        pattern = np.random.default_rng(seed).standard_normal(min(self.size, _PATTERN), "f4")
        pattern[pattern == 0] = 1
        return np.resize(pattern.astype(self.numpy_dtype), self.size).reshape(self.shape)

    def key(self):
        """Return what tells this case's arrays from others'."""
        return self.shape, self.dtype

    def title(self):
        """Return one line for the head of a table."""
        parts = [self.fields()[0], amount(self.size)]
        if self.neighbour:
            parts.insert(1, "a busy neighbour")
        if len(self.shape) > 1:
            parts[-1] += f" as {' x '.join(map(str, self.shape))}"
        parts.append(self.dtype)
        parts.append(f"one rate per neuron around {self.rate / 2:g}" if self.per_neuron
                     else f"rate {self.rate:g}")
        if self.shared_axes:
            parts.append(f"axes {self.shared_axes} shared")
        return ", ".join(parts)

    def fields(self):
        """Return what tells the case from others of its bench, each in a word or two."""
        shape = " x ".join(map(str, self.shape)) if len(self.shape) > 1 else amount(self.size)
        rate = f"rate {self.rate:g}"
        if self.per_neuron:
            rate = f"a rate per neuron, mean {self.rate / 2:g}"
        axes = f"axes {', '.join(map(str, self.shared_axes))} shared" if self.shared_axes else ""
        operation = self.operation.replace("_", " + " if "forward_" in self.operation else " ")
        if self.operation == "torch_step":
            return self.variant, f"batch {self.batch}", rate
        if self.hidden:
            sizes = [self.shape[1], *self.hidden, self.classes]
            if self.variant:
                operation, sizes = f"{NETWORKS[self.variant]} on {self.variant}", sizes[1:]
            shape = "-".join(map(str, sizes))
            return operation, shape, f"batch {self.batch}", rate
        if self.unit == US_PER_STEP:
            busy = "a busy neighbour" if self.neighbour else ""
            return f"behind {self.variant or 'NumPy'}", shape, rate, busy
        return (self.variant or operation, shape, self.dtype, rate, axes)


def amount(size):
    """Return a number of elements in the binary multiples that it was given in."""
    for power, letter in ((20, "Mi"), (10, "Ki")):
        if size % 2**power == 0:
            return f"{size >> power} {letter}"
    return str(size)
