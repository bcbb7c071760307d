"""How an epoch gets faster with processes: measured on two, and a model of many."""

import itertools
import math

import numpy as np

ONE, WITH_COMM, TWO, SUMS = CONTENDERS = (
    "cydropout, 1 process", "cydropout, 1 process, comm", "cydropout, 2 processes",
    "cydropout, 2 processes, Allreduce alone")
#: What two processes are to be of the ideal, half the time of one.
LEAST = 0.85
RANKS = 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024
#: Bytes and seconds: bytes a second of each process, and the latency of a message.
NETWORKS = {"10 Gbit/s, 30 µs": (1.25e9, 30e-6), "100 Gbit/s, 2 µs": (12.5e9, 2e-6)}

MEASURED = """Seconds of an epoch of 60 000 images, by processes of one thread each that share every
batch. Efficiency is the time of `mpiexec -n 1` over twice that of `mpiexec -n 2`; in brackets, with
the time of one process without `comm=` instead. The sums ran alone, interleaved with the epochs.

| batch | one | two | efficiency | Allreduce, of the epoch of two |
|---|---|---|---|---|"""
MODEL = """The model of n processes: a step of B samples takes

    t(n, B) = fixed + row B / n + 2 (n - 1) / n bytes / bandwidth + 2 (n - 1) latency

with a ring that adds the gradients up. From one process: row = {row:.3f} ms a sample, fixed =
{fixed:.2f} ms a step (most of it the optimizer's pass, which each process does whole); bytes =
{bytes:.1f} MB; from the sums of two, {bandwidth:.2f} GB/s in one machine. Efficiency with {batch}
samples in all, t(1, B) / (n t(n, B)), and with {batch} for each process, t(1, B) / t(n, n B);
`python benches/scaling.py` computes it from other figures.

"""


def step(ranks, batch, row, fixed, nbytes, bandwidth, latency):
    """Return the seconds of a step, of a batch of all processes together."""
    sent = 2 * (ranks - 1) / ranks * nbytes / bandwidth + 2 * (ranks - 1) * latency
    return fixed + row * batch / ranks + sent


def efficiencies(ranks, batch, *costs):
    """Return those with a batch for all together, and with one for each."""
    one = step(1, batch, *costs)
    shared = one / (ranks * step(ranks, batch, *costs)) if ranks <= batch else math.nan
    return shared, one / step(ranks, ranks * batch, *costs)


def table(batch, row, fixed, nbytes, networks, ranks=RANKS, measured=None):
    """Return the model as a Markdown table; ``measured`` is what two processes showed."""
    heads = [f"{name}, {how}" for name in networks for how in ("in all", "each")]
    lines = [f"| processes | {' | '.join(heads)} |{' measured, in all |' if measured else ''}",
             "|---" * (1 + len(heads) + bool(measured)) + "|"]
    for n in ranks:
        cells = [share for link in networks.values()
                 for share in efficiencies(n, batch, row, fixed, nbytes, *link)]
        cells += [measured if n == 2 else math.nan] if measured else []
        shown = ["" if math.isnan(cell) else f"{cell:.2f}" for cell in cells]
        lines.append(f"| {n} | {' | '.join(shown)} |")
    return "\n".join(lines)


def nbytes_of(case):
    """Return the bytes of the gradients of a network."""
    sizes = [case.shape[1], *case.hidden, case.classes]
    return 4 * sum((m + 1) * n for m, n in itertools.pairwise(sizes))


def costs(outcomes):
    """Return the seconds of a row and of what is fixed, of a step of one process, by least squares.

    Two sizes of batches tell them apart.
    """
    batches = np.array([outcome.case.batch for outcome in outcomes], float)
    seconds = np.array([outcome.find(ONE).median for outcome in outcomes]) * batches / 60_000
    row, fixed = np.polyfit(batches, seconds, 1, w=1 / seconds)
    return float(row), max(float(fixed), 0.0)


def efficiency(outcome, one=WITH_COMM):
    """Return the measured efficiency of two processes."""
    return outcome.find(one).median / (2 * outcome.find(TWO).median)


def scaling(outcomes):
    """Return what was measured, and the model that follows from it, as Markdown."""
    whole = [outcome for outcome in outcomes if all(map(outcome.find, CONTENDERS))]
    if not whole:
        return ""
    lines = [MEASURED]
    for outcome in whole:
        one, two, sums = (outcome.find(name).median for name in (WITH_COMM, TWO, SUMS))
        lines.append(
            f"| {outcome.case.batch} | {one:.2f} | {two:.2f} | {efficiency(outcome):.2f} "
            f"({efficiency(outcome, ONE):.2f}) | {sums / two:.0%} |")
    if len(whole) < 2:
        return "\n".join(lines)
    first, (row, fixed), size = whole[0], costs(whole), nbytes_of(whole[0].case)
    sums = first.find(SUMS).median * first.case.batch / 60_000
    text = MODEL.format(row=1e3 * row, fixed=1e3 * fixed, bytes=size / 1e6, batch=first.case.batch,
                        bandwidth=size / sums / 1e9)
    networks = {"one machine": (size / sums, 0.0), **NETWORKS}
    return "\n".join([*lines, "", text + table(first.case.batch, row, fixed, size, networks,
                                               measured=efficiency(first, ONE))])
