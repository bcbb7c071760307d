# The threads of the kernels, lent to BLAS, whose own would wait beside them for work.

ctypedef void (*job_fn)(int thread, void *job, int argument) noexcept nogil

cdef int blas_numbers = 0   # of threads, that BLAS has buffers for

ctypedef struct jobs_t:
    job_fn job
    char *jobs
    size_t size
    int argument


cdef void run_job(const void *x, void *y, const jobs_t *jobs, uint64_t begin,
                  uint64_t end) noexcept nogil:
    # The highest numbers: BLAS's own threads, which may run beside these, have the lowest.
    jobs.job(blas_numbers - 1 - <int>begin, jobs.jobs + begin * jobs.size, jobs.argument)


cdef void run_jobs(int sync, job_fn job, int count, size_t size, void *jobs,
                   int argument) noexcept nogil:
    """Run the jobs of one call of BLAS, all at once, since they wait for each other.

    One call at a time: OpenBLAS has one buffer for each number of a thread.
    """
    cdef jobs_t all_jobs
    all_jobs.job, all_jobs.jobs, all_jobs.size = job, <char*>jobs, size
    all_jobs.argument = argument
    cyd_run_together(<kernel_fn>run_job, &all_jobs, count)


def jobs_address(int numbers, int count):
    """Where `run_jobs` is, for a BLAS that tells so many threads apart; None without `count`."""
    global blas_numbers
    blas_numbers = numbers
    return <size_t>&run_jobs if cyd_have(count) else None
