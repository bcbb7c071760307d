"""Large arrays that come and go, as in every step of a loop, without the system's pages."""

from __future__ import annotations

from cydropout._kernels.reuse import ReusedMemory


def reused_memory() -> ReusedMemory:
    """Return a context in which new arrays get the memory of arrays that are gone.

    The system gives memory of some 100 KiB or more by the page, each zeroed when it is first
    touched and given back with the array: that takes longer than most passes over it. Within this
    context the memory of NumPy arrays that this thread makes, those of its own functions too, is
    kept when they die, and goes to the next ones of the same size or up to an eighth less. At most
    half more than what was in use at once is held, and nothing when the context ends; arrays
    may outlive it. `Trainer` trains and measures in one.

    Where another handler of NumPy's memory has been set, that one stays.

    Returns
    -------
    context manager
        Its ``counts`` are the bytes in arrays (``used``), the most there were (``peak``), those
        kept for others (``kept``), and how many arrays got some (``reused``). Arrays below 32 KiB
        do not count.

    References
    ----------
    NumPy Enhancement Proposal 49, "Data allocation strategies".

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout import functional
    >>> with functional.reused_memory() as memory:
    ...     for _ in range(5):
    ...         y = np.ones(100_000) * 2.0
    >>> memory.counts["reused"] > 0, memory.counts["kept"]
    (True, 0)
    """
    return ReusedMemory()
