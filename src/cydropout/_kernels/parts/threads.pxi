# The one parallel region.

# Below this many elements a thread the start of the team costs more than it brings. Measured at
# rate 0.5: half as many where the workers still spin, four times as many where they are asleep.
cdef enum:
    GRAIN = 32768

# A result of this many bytes is stored past the caches.
cdef uint64_t STREAM_FROM = <uint64_t>1 << 25

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


cdef void run(kernel_fn kernel, const void *x, void *y, const void *settings, uint64_t elements,
              uint64_t units, int num_threads) noexcept nogil:
    """Run the kernel over its units, split evenly; no OpenMP construct is met when serial."""
    cdef int threads = team(elements, units, num_threads)
    cdef int thread
    if threads == 1:
        kernel(x, y, settings, 0, units)
        return
    for thread in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        kernel(x, y, settings, units * thread // threads, units * (thread + 1) // threads)


cdef inline uint64_t item_size(int dtype) noexcept nogil:
    return 8 if dtype == FLOAT64 else 4 if dtype == FLOAT32 else 2


cdef void run_draw(const mask_t *mask, int num_threads) noexcept nogil:
    run(table.draw, NULL, NULL, mask, mask.size, tiles(mask.size), num_threads)


cdef void run_apply(mask_t *mask, const void *x, void *y, int dtype,
                    int num_threads) noexcept nogil:
    mask.stream = x != y and mask.size * item_size(dtype) >= STREAM_FROM
    run(table.apply[dtype], x, y, mask, mask.size, tiles(mask.size), num_threads)
