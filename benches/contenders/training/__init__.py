"""A training epoch in each library: `epoch(case, threads, x, labels)` returns a run of one.

Dense layers with ReLU and dropout behind each but the last, softmax cross-entropy, Adam with its
default settings, batches in a new order each epoch; a run returns the mean loss of its steps.
The networks of `contenders.networks` are trained by the same functions.
"""

import time


def fastest(runs):
    """Return the run that is done first where each is called a second time."""

    def seconds(run):
        run()
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    return min(runs, key=seconds)
