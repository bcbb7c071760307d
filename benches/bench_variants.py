"""Every variant of dropout, forward and backward."""

from suite.case import Case
from suite.catalogue import VARIANTS


def cases(full):
    chosen = VARIANTS if full else ("GaussianDropout", "AlphaDropout", "DropBlock2D", "Zoneout")
    for name in chosen:
        variant = VARIANTS[name]
        operation = "monte_carlo" if variant.check == "monte_carlo" else "variant"
        yield Case(operation, variant.shape, rate=variant.rate, variant=name)
