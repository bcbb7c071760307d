"""Processes of MPI that train one network, and the side that asks them for an epoch."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from contenders import refuse
from suite import steps
from suite.case import Case
from suite.expect import WrongResult, expect

CODE = (f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); "
        "from contenders.processes import main; main(sys.argv[1], sys.argv[2])")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CYDROPOUT_NUM_THREADS"),
                           "1")
#: Steps after which the losses of several processes and of one may only differ by rounding.
COMPARED, TOLERANCE = 8, 1e-4


class Processes:
    """A run of ``ranks`` processes with a thread each; it ends when nobody holds it any more.

    Parameters
    ----------
    what : {"train", "alone", "Allreduce"}
        An epoch with ``comm=``, one without it, or the sums of gradients that an epoch takes.
    """

    def __init__(self, case, ranks, what):
        mpiexec = shutil.which("mpiexec", path=Path(sys.executable).parent) or shutil.which(
            "mpiexec")
        refuse(mpiexec is None, "there is no mpiexec: pip install 'cydropout[mpi]'")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ranks
        refuse(cores < ranks, f"{ranks} processes want as many cores, not {cores}")
        self.process = subprocess.Popen(
            [mpiexec, "-n", str(ranks), sys.executable, "-c", CODE, what,
             json.dumps(dataclasses.asdict(case))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | ONE_THREAD)
        self()  # they are warm, and have found their losses to be the same

    def __call__(self):
        """Return the mean loss of an epoch, or 0.0 of what has none."""
        self.process.stdin.write("epoch\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if answer.startswith("wrong: "):
            raise WrongResult(answer.removeprefix("wrong: ").strip())
        return float(answer or "nan")

    def __del__(self):
        if hasattr(self, "process"):
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()


def main(what, case):
    """Do an epoch for each line that the first process reads."""
    from mpi4py.MPI import COMM_WORLD as comm

    import cydropout

    case = Case.from_json(json.loads(case))
    cydropout.set_num_threads(1)
    x, labels = steps.inputs(case)
    run = None
    while _asked(comm):
        try:
            if run is None:
                run = _run(what, comm, case, x, labels)
            answer = str(run())
        except WrongResult as error:
            answer = f"wrong: {error}"
        if comm.rank == 0:
            print(answer, flush=True)


def _asked(comm):
    """Return whether an epoch is wanted; who waits sleeps, and leaves the cores to others."""
    wanted = np.array([bool(sys.stdin.readline()) if comm.rank == 0 else False])
    request = comm.Ibcast(wanted, root=0)
    while not request.Test():
        time.sleep(5e-3)
    return bool(wanted[0])


def _run(what, comm, case, x, labels):
    from contenders.training.cydropout import fit, network, trainer

    def made(comm):
        return trainer(network(case.hidden, case.rate), num_threads=1, comm=comm)

    if what == "Allreduce":
        model = network(case.hidden, 0)
        model.build(x.shape[1:], 0)
        own = np.ones(sum(one.value.size for one in model.parameters()), np.float32)
        return lambda: _sums(comm, own, len(x) // case.batch)
    few = slice(0, COMPARED * case.batch)
    together, alone = (fit(case, x[few], labels[few], made(one))() for one in (comm, None))
    expect(abs(together - alone) <= TOLERANCE * alone,
           f"the loss of {comm.size} processes is {together}, and that of one is {alone}")
    return fit(case, x, labels, made(comm if what == "train" else None))


def _sums(comm, own, count):
    total = np.empty_like(own)
    for _ in range(count):
        comm.Allreduce(own, total)
    expect((total == comm.size).all(), "the sum of ones is another one")
    return 0.0
