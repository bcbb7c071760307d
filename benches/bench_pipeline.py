"""Dropout behind the products of a user's own loop, with no setting made."""

from suite.case import SECONDS_PER_EPOCH, US_PER_STEP, Case
from suite.pipeline import ALONE, ONE

CONTENDERS = (ALONE, "cydropout", ONE, "NumPy", "Numba", "PyTorch")
SHAPES = ((8, 512), (128, 512), (512, 512), (2048, 512), (4096, 4096))
OTHERS = ("SciPy", "numexpr", "Numba", "scikit-learn", "PyTorch")


def cases(full):
    options = {"unit": US_PER_STEP, "limit": False, "contenders": CONTENDERS}
    ours = options | {"contenders": CONTENDERS[:4]}  # the others take seconds for large arrays
    for shape in SHAPES if full else SHAPES[1:4:2]:
        yield Case("after_product", shape, **(ours if shape == SHAPES[-1] else options))
    yield Case("after_product", SHAPES[3], neighbour=True, **options)
    for batch in (32, 128):
        yield Case("training_loop", (64 * batch, 784), unit=SECONDS_PER_EPOCH, hidden=(512,),
                   batch=batch, limit=False, contenders=CONTENDERS)
    for other in OTHERS if full else ():
        for shape in SHAPES[1:4:2]:
            yield Case("after_product", shape, variant=other, **ours)
