"""A training epoch on one process and on two, with the same batches, a thread each: MPI."""

from suite.case import SECONDS_PER_EPOCH, Case
from suite.processes import CONTENDERS

#: Samples of a batch, of all processes together.
BATCHES = (256, 128, 1024)


def cases(full):
    for batch in BATCHES if full else BATCHES[:1]:
        yield Case("processes", (8192, 784), contenders=CONTENDERS, unit=SECONDS_PER_EPOCH,
                   hidden=(1024, 1024, 1024), batch=batch, limit=False)
