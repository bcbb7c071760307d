"""An epoch of the estimators for scikit-learn, beside its own: digits (ten a fit), MNIST, a table.

The time is that of `fit`, of 10 epochs of digits and of one of the others. Beside them the matrix
products of the same network, and Adam's pass, alone: the BLAS of both is the same. Then the test
error after some epochs, of the same networks.
"""

from suite.case import SECONDS_PER_EPOCH, TEST_ERROR, Case

#: By the unit.
CONTENDERS = {SECONDS_PER_EPOCH: ("cydropout", "scikit-learn", "cydropout, products alone"),
              TEST_ERROR: ("cydropout", "scikit-learn")}
#: Samples and features: of the 8x8 digits, of MNIST, and of a wide table.
SHAPES = ((1797, 64), (60_000, 784), (100_000, 50))


def cases(full):
    for unit in (SECONDS_PER_EPOCH, TEST_ERROR):
        for shape in SHAPES if full else SHAPES[:1]:
            for operation in ("classifier", "regressor") if shape == SHAPES[2] else ("classifier",):
                for batch in (200, 32):
                    for rate in (0.5, 0.0):
                        yield Case(operation, shape, rate=rate, unit=unit, hidden=(100,),
                                   batch=batch, limit=False, contenders=CONTENDERS[unit])
