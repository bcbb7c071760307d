"""The libraries that are timed: one module each, one class each.

A contender's methods are named after the operations of the cases. Each takes a case and its inputs
as NumPy arrays, moves them to where the library wants them, and returns a function that does the
work once and returns the result; `numpy` turns a result into NumPy arrays for the check.
"""

import importlib

import numpy as np

#: Name, as it stands in the tables: the module, and what its class is told.
CONTENDERS = {
    "cydropout": ("cydropout", ""),
    "cydropout seed": ("cydropout", "seed"),
    "cydropout x86_64_v3": ("cydropout", "x86_64_v3"),
    "cydropout baseline": ("cydropout", "baseline"),
    "cydropout, no dropout": ("cydropout", "nothing"),
    "cydropout, products alone": ("cydropout", "products"),
    "cydropout, Adam alone": ("cydropout", "optimizer"),
    "BatchwiseDropout": ("cydropout", "scattered"),
    "BatchwiseDropout in blocks of 16": ("cydropout", "blocks"),
    "BatchwiseDropout, a slice": ("cydropout", "slice"),
    "BatchwiseDropout, a slice, lazy": ("cydropout", "slice, lazy"),
    "cydropout, one thread": ("cydropout", "one thread"),
    "cydropout, 1 process": ("cydropout", "1 alone"),
    "cydropout, 1 process, comm": ("cydropout", "1 train"),
    "cydropout, 2 processes": ("cydropout", "2 train"),
    "cydropout, 2 processes, Allreduce alone": ("cydropout", "2 Allreduce"),
    "NumPy": ("numpy", ""),
    "NumPy, no dropout": ("numpy", "nothing"),
    "NumPy threads": ("numpy", "threads"),
    "PyTorch": ("torch", ""),
    "PyTorch, no dropout": ("torch", "nothing"),
    "cydropout.torch": ("torch", "cydropout"),
    "cydropout.torch compiled": ("torch", "cydropout compiled"),
    "PyTorch compiled, no dropout": ("torch", "nothing compiled"),
    "PyTorch recipe": ("torch", "recipe"),
    "PyTorch compiled": ("torch", "compiled"),
    "JAX threefry": ("jax", "threefry2x32"),
    "JAX rbg": ("jax", "rbg"),
    "TensorFlow": ("tensorflow", ""),
    "Numba": ("numba", ""),
    "thinc": ("thinc", ""),
    "scikit-learn": ("sklearn", ""),
}
#: These run only where a case names them.
BATCHWISE = ("BatchwiseDropout", "BatchwiseDropout in blocks of 16", "BatchwiseDropout, a slice",
             "BatchwiseDropout, a slice, lazy")
ON_REQUEST = ("cydropout seed", "cydropout x86_64_v3", "cydropout baseline", "scikit-learn",
              "cydropout, no dropout", "cydropout, products alone", "cydropout, Adam alone",
              "cydropout, one thread", "NumPy, no dropout", "PyTorch, no dropout",
              "PyTorch compiled, no dropout", "cydropout.torch", "cydropout.torch compiled",
              "cydropout, 1 process", "cydropout, 1 process, comm", "cydropout, 2 processes",
              "cydropout, 2 processes, Allreduce alone", *BATCHWISE)
DEFAULT = tuple(name for name in CONTENDERS if name not in ON_REQUEST)


def library(name):
    """Return the library of a contender."""
    return CONTENDERS[name][0]


def create(name, threads):
    """Return the contender; ImportError says that its library is not there."""
    module, variant = CONTENDERS[name]
    return importlib.import_module(f"contenders.{module}").Contender(variant, threads)


class Base:
    """What a contender cannot do is left as it is here."""

    versions = ()  # pairs of a name and its version

    def __init__(self, variant, threads):
        pass

    def numpy(self, result):
        """Return a result of a run as NumPy arrays."""
        return np.asarray(result)

    def _cannot(self, case, *inputs):
        raise NotImplementedError(f"{case.operation} is not offered")

    # y = 2 x, x
    copy = _cannot
    # y = dropout(x), of x
    forward = _cannot
    # (dropout(x), the gradient of it for dy), of x and dy
    forward_backward = _cannot
    # the keep mask alone, of nothing
    mask = _cannot
    # y = mask(x) for a mask that was drawn before, of x
    ready_mask = _cannot
    # y = dropout(relu(z + b)) in one go, of z and b
    fused = _cannot
    # the same in separate operations
    separate = _cannot
    # (mean, standard deviation) over 50 noisy passes of the probabilities of a network, of x
    monte_carlo = _cannot
    # the mean loss of one training epoch, of x and labels
    epoch = _cannot
    # the same by processes of MPI
    processes = _cannot
    # the loss of one epoch of a classifier or regressor with scikit-learn's interface, of x and y
    classifier = regressor = _cannot
    # that classifier or regressor, of the case alone
    estimator = _cannot
    # the mean loss of one training epoch of the network that the case names
    network = _cannot
    # dropout of a product of a and b, or of what stands before it, of a and b
    after_product = _cannot
    # the loss of one training step of the PyTorch model that the case names
    torch_step = _cannot
    # the mean loss of one epoch of a training loop written in NumPy, of x and labels
    training_loop = _cannot
    # (y, the gradients of the floating inputs) of the variant that the case names
    variant = _cannot


def variant_of(module, case):
    """Return the function of a module that stands for the variant of a case."""
    name = case.variant.replace(" ", "_")
    found = getattr(module, name, None)
    refuse(found is None, f"{case.variant} is not written")
    return found


def refuse(condition, why):
    """Raise NotImplementedError if the contender has no form for a case."""
    if condition:
        raise NotImplementedError(why)
