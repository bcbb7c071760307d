# The threads of the kernels, lent to BLAS, whose own would wait beside them for work.

ctypedef void (*job_fn)(int thread, void *job, int argument) noexcept nogil

cdef PyThread_type_lock jobs_lock = PyThread_allocate_lock()


cdef void run_jobs(int sync, job_fn job, int count, size_t size, void *jobs,
                   int argument) noexcept nogil:
    """Run the jobs of one call of BLAS, all at once, since they wait for each other.

    One call at a time: OpenBLAS has one buffer for each number of a thread.
    """
    cdef int i
    PyThread_acquire_lock(jobs_lock, WAIT_LOCK)
    for i in prange(count, num_threads=count, schedule="static", chunksize=1):
        job(i, <char*>jobs + i * size, argument)
    PyThread_release_lock(jobs_lock)


def jobs_address(int count):
    """Return where `run_jobs` is, or None if it cannot be sure to get `count` threads."""
    return <size_t>&run_jobs if cyd_can_run(count) and not serial_child else None
