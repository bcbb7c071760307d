# One kind of job, one parallel region.

# Below this many elements a thread the start of the team costs more than it brings. Measured at
# rate 0.5: half as many where the workers still spin, four times as many where they are asleep.
cdef enum:
    GRAIN = 32768

# A result of this many bytes is stored past the caches.
cdef uint64_t STREAM_FROM = <uint64_t>1 << 25

cdef enum job_kind_t:
    DRAW_JOB
    APPLY
    ROWS
    NOISE
    FORWARD
    BACKWARD
    STEP

ctypedef struct job_t:
    job_kind_t kind
    int dtype
    const void *x
    const void *z
    void *y
    const mask_t *mask
    const rows_t *rows
    const noise_t *noise
    const fused_t *fused
    const step_t *settings
    step_fn step
    void *first
    void *second
    uint64_t size             # of a step
    uint64_t tiles            # of a backward pass, in `chunks` that each have sums of their own
    uint64_t chunks
    uint64_t chunk_bytes


cdef void run_range(const job_t *job, uint64_t begin, uint64_t end) noexcept nogil:
    cdef uint64_t chunk
    if job.kind == DRAW_JOB:
        table.draw(job.mask, begin, end)
    elif job.kind == APPLY:
        table.apply[job.dtype](job.x, job.y, job.mask, begin, end)
    elif job.kind == ROWS:
        table.rows[job.dtype](job.x, job.y, job.mask, job.rows, begin, end)
    elif job.kind == NOISE:
        table.noise[job.dtype](job.x, job.y, job.noise, begin, end)
    elif job.kind == FORWARD:
        table.forward[job.dtype](job.z, job.y, job.mask, job.fused, begin, end)
    elif job.kind == BACKWARD:
        for chunk in range(begin, end):
            table.backward[job.dtype](
                job.x, job.z, job.y, <char*>job.first + chunk * job.chunk_bytes, job.mask,
                job.fused, job.tiles * chunk // job.chunks, job.tiles * (chunk + 1) // job.chunks)
    else:
        job.step(job.y, job.x, job.first, job.second, job.settings, <int64_t>(begin * TILE),
                 <int64_t>min(end * TILE, job.size))


cdef inline uint64_t tiles(uint64_t size) noexcept nogil:
    return (size + TILE - 1) // TILE


cdef int team(uint64_t elements, uint64_t units, int num_threads) noexcept nogil:
    """How many threads this much work is worth."""
    cdef uint64_t count = num_threads if num_threads > 0 else default_threads
    if serial_child or not CYD_OPENMP:
        return 1
    if num_threads <= 0:
        count = min(count, elements // GRAIN)
    return <int>max(<uint64_t>1, min(count, units))


cdef void run(const job_t *job, uint64_t elements, uint64_t units, int num_threads) noexcept nogil:
    """Run the job over its units, split evenly; no OpenMP construct is met when serial."""
    cdef int threads = team(elements, units, num_threads)
    cdef int thread
    if threads == 1:
        run_range(job, 0, units)
        return
    for thread in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        run_range(job, units * thread // threads, units * (thread + 1) // threads)


cdef inline uint64_t item_size(int dtype) noexcept nogil:
    return 8 if dtype == FLOAT64 else 4 if dtype == FLOAT32 else 2


cdef void run_draw(const mask_t *mask, int num_threads) noexcept nogil:
    cdef job_t job
    memset(&job, 0, sizeof(job))
    job.kind = DRAW_JOB
    job.mask = mask
    run(&job, mask.size, tiles(mask.size), num_threads)


cdef void run_apply(mask_t *mask, const void *x, void *y, int dtype,
                    int num_threads) noexcept nogil:
    cdef job_t job
    memset(&job, 0, sizeof(job))
    job.kind = APPLY
    mask.stream = x != y and mask.size * item_size(dtype) >= STREAM_FROM
    job.dtype, job.x, job.y, job.mask = dtype, x, y, mask
    run(&job, mask.size, tiles(mask.size), num_threads)
