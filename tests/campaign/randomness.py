"""Masks and noise as random numbers: exact tests of what they are drawn for, and the batteries.

``python tests/campaign/randomness.py --long`` tests 2**28 elements of each rate, and feeds the bits
in six arrangements to TestU01's SmallCrush, whose Debian packages it fetches and unpacks into a
temporary directory, and to PractRand, where its RNG_test is on the path. A larger battery is
``--only testu01 -- Crush one_draw``. Every figure is a normal deviate z; a check fails where the
largest of them would come by chance once in a million times.
"""

import math
import sys
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any

import batteries
import common
import numpy as np
from common import Job

from cydropout import Mask
from cydropout.masks import GaussianMask

campaign = common.Campaign(__file__, __doc__)
LAGS, CHUNK = 10_000, 2**20


def verdict(z: list[float] | np.ndarray, what: str) -> str:
    """Raise unless the largest deviate is one that chance makes."""
    z = np.abs(np.ravel(z))
    limit = -NormalDist().inv_cdf(0.5e-6 / z.size)
    assert np.isfinite(z).all() and z.max() < limit, (
        f"|z| = {z.max():.2f} at {int(z.argmax())} of {z.size}, the limit is {limit:.2f}: {what}")
    return f"{what}: largest |z| {z.max():.2f} of {z.size} (limit {limit:.2f})"


def of_chi2(value: float, freedom: float) -> float:
    """Return chi-squared as a normal deviate (Wilson and Hilferty 1931)."""
    variance = 2 / (9 * freedom)
    return ((value / freedom) ** (1 / 3) - (1 - variance)) / math.sqrt(variance)


def chunks(job: Job, rate: float, count: int) -> Iterator[np.ndarray]:
    """Draw the elements of one mask, a part at a time."""
    key = int(job.rng.integers(2**63))
    for number in range(count):
        yield Mask(key, 0, (CHUNK,), rate, offset=number * CHUNK).keep


def kept(rate: Any) -> Any:
    """Return the probability of being kept."""
    return np.rint((1 - rate) * 2**32) / 2**32


def both_rates(job: Job, test: Callable[[Job, float, int], list[float]], what: str) -> str:
    """Test at rates of which one has two digits that repeat, and one many."""
    count = job.size(2, 256)
    z = [one for rate in (0.1, 0.3) for one in test(job, rate, count)]
    return verdict(z, f"{what}, {count * CHUNK} elements at .1 and at .3")


@campaign.check
def counts(job: Job) -> str:
    """What is kept in all, and in blocks of Philox, of tiles and of odd sizes."""
    def test(job, rate, count):
        q, total, z = kept(rate), 0, []
        spread = {n: 0.0 for n in (32, 128, 1000, 2048)}
        for keep in chunks(job, rate, count):
            total += int(keep.sum())
            for n in spread:
                own = keep[: CHUNK // n * n].reshape(-1, n).sum(axis=1)
                spread[n] += float((((own - n * q) ** 2) / (n * q * (1 - q))).sum())
        z.append((total - count * CHUNK * q) / math.sqrt(count * CHUNK * q * (1 - q)))
        return z + [of_chi2(value, count * (CHUNK // n)) for n, value in spread.items()]

    return both_rates(job, test, "all, and blocks of 32 to 2048")


@campaign.check
def runs(job: Job) -> str:
    """Lengths of runs of kept and of dropped elements, which are geometric."""
    def test(job, rate, count):
        found = {kind: np.zeros(4000) for kind in (True, False)}
        for keep in chunks(job, rate, count):
            ends = np.flatnonzero(np.diff(keep)) + 1
            lengths = np.diff(ends)  # of whole runs, the first and the last of a chunk left out
            for kind, seen in found.items():
                seen += np.bincount(lengths[keep[ends[:-1]] == kind], minlength=4000)
        z = []
        for kind, seen in found.items():
            p = kept(rate) if kind else 1 - kept(rate)
            tail = seen.sum() * p ** np.arange(4000)  # as long as that, plus 1, or longer
            last = int((tail > 20).sum())
            bins = np.append(seen[1:last], seen[last:].sum())
            expected = np.append(tail[: last - 1] * (1 - p), tail[last - 1])
            z.append(of_chi2(float(((bins - expected) ** 2 / expected).sum()), last - 1))
        return z

    return both_rates(job, test, "lengths of both kinds")


@campaign.check
def lags(job: Job) -> str:
    """Products of elements so far apart, for every lag to 10 000."""
    def test(job, rate, count):
        q, total = kept(rate), np.zeros(LAGS + 1)
        for keep in chunks(job, rate, count):
            spectrum = np.fft.rfft(keep - q, 2 * CHUNK)
            total += np.fft.irfft(np.abs(spectrum) ** 2)[: LAGS + 1]
        pairs = count * (CHUNK - np.arange(1, LAGS + 1))
        z = total[1:] / np.sqrt(pairs) / (q * (1 - q))
        return [*z, of_chi2(float((z**2).sum()), LAGS)]

    return both_rates(job, test, "each to 10 000")


@campaign.check
def lattice(job: Job) -> str:
    """Products of elements of a matrix so many rows and columns apart, to 32 of each."""
    z, times = [], job.size(1, 64)
    for rate in (0.1, 0.3):
        for columns in (256, 1000, 777):
            q, shape, total = kept(rate), (1024, columns), 0.0
            for draw in range(times):
                keep = Mask(int(job.rng.integers(2**63)), draw, shape, rate).keep - q
                spectrum = np.fft.rfft2(keep, (2048, 2 * columns))
                total = total + np.fft.irfft2(np.abs(spectrum) ** 2, (2048, 2 * columns))
            down, across = np.arange(33)[:, None], np.arange(-32, 33)
            pairs = (1024 - down) * (columns - abs(across))
            own = (total[down, across] / np.sqrt(times * pairs) / (q * (1 - q))).ravel()[33:]
            z += [*own, of_chi2(float((own**2).sum()), own.size)]
    return verdict(z, f"a lattice of 1024 rows, {times} draws of each of 6 kinds")


@campaign.check
def neurons(job: Job) -> str:
    """A rate for each neuron: what each keeps, and that it knows nothing of the others."""
    rates, rows, z = np.linspace(0.02, 0.98, 49), 4096, []
    q, times = kept(rates), job.size(2, 200)
    total, products = np.zeros(49), np.zeros((49, 49))
    for draw in range(times):
        centred = (Mask(job.seed, draw, (rows, 49), rates).keep - q) / np.sqrt(q * (1 - q))
        total += centred.sum(axis=0)
        products += centred.T @ centred
    z += [*total / math.sqrt(times * rows)]
    z += [*(products / math.sqrt(times * rows))[np.triu_indices(49, 1)]]
    return verdict(z, f"49 neurons of rates .02 to .98, {times * rows} rows, and their pairs")


@campaign.check
def neighbours(job: Job) -> str:
    """Masks of neighbouring draws, keys and rates: independent, or nested."""
    z, size, times, key = [], 2**16, job.size(40, 4000), int(job.rng.integers(2**63))
    q = kept(0.3)
    for number in range(times):
        one = Mask(key, number, (size,), 0.3).keep - q
        for other in (Mask(key, number + 1, (size,), 0.3), Mask(key + 1, number, (size,), 0.3),
                      Mask(key, number + 2**32, (size,), 0.3),
                      Mask(key ^ 2**62, number, (size,), 0.3),
                      Mask(key, number, (size,), 0.3, offset=size)):
            z.append(float((one * (other.keep - q)).sum()) / math.sqrt(size) / (q * (1 - q)))
        assert (Mask(key, number, (size,), 0.5).keep <= (one > 0)).all(), "not nested"
    return verdict(z, f"{times} times 5 pairs of {size}")


@campaign.check
def gaussian(job: Job) -> str:
    """Moments of Gaussian noise to the eighth, its tails, and 1024 bins of equal probability."""
    times, size = job.size(4, 1000), 2**20
    powers, ones = np.zeros(9), np.ones(size)
    beyond = {p: 0 for p in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)}
    at = {p: NormalDist().inv_cdf(1 - p / 2) for p in beyond}
    edges = np.array([NormalDist().inv_cdf(k / 1024) for k in range(1, 1024)])
    bins, key = np.zeros(1024), int(job.rng.integers(2**63))
    for draw in range(times):
        mask = GaussianMask(key, draw, (size,), sigma=1.0, storage="seed")
        x = mask.apply(ones) - 1
        product = np.ones(size)
        for power in range(1, 9):
            product *= x
            powers[power] += product.sum()
        for p, far in at.items():
            beyond[p] += int((np.abs(x) > far).sum())
        bins += np.bincount(np.searchsorted(edges, x), minlength=1024)
    n, z = times * size, []
    moment = [float(math.prod(range(k - 1, 0, -2))) if k % 2 == 0 else 0.0 for k in range(17)]
    for power in range(1, 9):
        variance = moment[2 * power] - moment[power] ** 2
        z.append((powers[power] - n * moment[power]) / math.sqrt(n * variance))
    far = [(p, seen) for p, seen in beyond.items() if n * p > 50]
    z += [(seen - n * p) / math.sqrt(n * p) for p, seen in far]
    z.append(of_chi2(float(((bins - n / 1024) ** 2 / (n / 1024)).sum()), 1023))
    return verdict(z, f"{n} normals, tails to {far[-1][0]:g}")


@campaign.check
def testu01(job: Job) -> str:
    """TestU01 on the bits."""
    return batteries.testu01(job)


@campaign.check
def practrand(job: Job) -> str:
    """PractRand on the bits."""
    return batteries.practrand(job)


if __name__ == "__main__":
    sys.exit(campaign.main())
