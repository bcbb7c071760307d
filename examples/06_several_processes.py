"""A 784-256-10 network on several processes: mpiexec -n 2 python 06_several_processes.py."""

from _common import load, parse
from threadpoolctl import threadpool_limits

from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Flatten, Sequential

try:
    from mpi4py.MPI import COMM_WORLD as comm  # pip install 'cydropout[mpi]'
except (ImportError, RuntimeError):  # no mpi4py, or no MPI that it could load
    comm = None
leads = comm is None or comm.rank == 0

options = parse(__doc__, epochs=10)
data = load(options) if leads else None
data = data if comm is None else comm.bcast(data)  # one process reads, or fetches, the files

model = Sequential([Flatten(), Dense(256, activation="relu"), Dropout(0.5), Dense(10)])
trainer = Trainer(
    model, "softmax_cross_entropy", "adam", rng=options.seed, num_threads=1, comm=comm
)
with threadpool_limits(1, "blas"):  # or the threads of all processes would fight for the cores
    # The size is that of the whole batch: each process takes its rows of it, and of the masks.
    trainer.fit(data.x_train, data.y_train, epochs=options.epochs, batch_size=128)

if leads:
    processes = 1 if comm is None else comm.size
    accuracy = trainer.evaluate(data.x_test, data.y_test)["accuracy"]
    print(f"processes: {processes}, test accuracy {accuracy:.2%}")
