# Where kernels are started, and threads with them.

cdef int number_of(str kind, dict numbers) except -1:
    """The number of a kind in an enum of table.pxd."""
    if kind not in numbers:
        raise ValueError(f"unknown kind {kind!r}; known are {', '.join(numbers)}")
    return numbers[kind]


cdef void *address(cnp.ndarray array) except? NULL:
    """Where the elements of an array lie, in C order, aligned, and in the byte order of the CPU."""
    if array is None or not cnp.PyArray_ISCARRAY_RO(array):
        raise ValueError("kernels need arrays that are contiguous, aligned and native")
    return cnp.PyArray_DATA(array)


cdef void *address_or_null(array) except? NULL:
    """The same of an array, or NULL for None."""
    return NULL if array is None else address(<cnp.ndarray?>array)


# Below this many elements for each of two threads the start of the team costs more than it brings.
cdef enum:
    GRAIN = 32768

# A result of this many bytes is stored past the caches.
cdef uint64_t STREAM_FROM = <uint64_t>1 << 25

cdef inline uint64_t tiles(uint64_t size) noexcept nogil:
    return (size + TILE - 1) // TILE


cdef inline uint64_t work_of(int row, uint64_t elements) noexcept nogil:
    """As how many elements of a dropout so many of another kernel count.

    A root and a quotient, or an exponential, take four times as long, gates and normal numbers
    eight times.
    """
    if row in (OPTIMIZER_STEP, OPTIMIZER_STEP_ROWS, MAX_NORM_STEP, STANDOUT, SOFTMAX,
               SOFTMAX_BACKWARD, CROSS_ENTROPY, SQUARED_ERROR):
        return 4 * elements
    if row in (RECURRENCE, RECURRENCE_BACKWARD, NOISE, VARIATES):
        return 8 * elements
    return elements


cdef int team(uint64_t elements, uint64_t units, int num_threads) noexcept nogil:
    """How many threads this much work is worth: one, or all."""
    if num_threads <= 0:
        num_threads = default_threads if elements >= 2 * GRAIN else 1
    return num_threads if units > 1 else 1


cdef kernel_fn kernel_for(int row, int code) except NULL nogil:
    """The kernel of that row of the table for a dtype_t."""
    cdef kernel_fn kernel = NULL
    if 0 <= row < <int>ROWS and 0 <= code < <int>DTYPES:
        kernel = table.kernels[row][code]
    if kernel == NULL:
        with gil:
            raise TypeError(f"row {row} of the table of kernels has no dtype_t {code}")
    return kernel


cdef int launch(int row, int code, const void *x, void *y, const void *settings,
                uint64_t elements, uint64_t units, int num_threads) except -1 nogil:
    """Run a kernel over its units, on the calling thread alone or with the team; none, if there is
    no element.

    Fewer than 0 threads are those of a host library, where there is one: see `set_host`.
    """
    cdef kernel_fn kernel = kernel_for(row, code)
    cdef int threads
    if elements == 0:
        return 0
    elements = work_of(row, elements)
    if num_threads < 0:
        if elements >= 2 * GRAIN and cyd_run_hosted(kernel, x, y, settings, elements, units):
            return 0
        num_threads = 1
    threads = team(elements, units, num_threads)
    if threads == 1:
        kernel(x, y, settings, 0, units)
    else:
        cyd_run_team(kernel, x, y, settings, elements, units, threads)
    return 0


cdef inline uint64_t item_size(int dtype) noexcept nogil:
    return 8 if dtype == FLOAT64 else 4 if dtype == FLOAT32 else 2


cdef int run_draw(const mask_t *mask, int num_threads) except -1 nogil:
    return launch(DRAW_BITS, ANY_DTYPE, NULL, NULL, mask, mask.size, tiles(mask.size), num_threads)


cdef int run_apply(mask_t *mask, const void *x, void *y, int dtype,
                   int num_threads) except -1 nogil:
    mask.stream = x != y and mask.size * item_size(dtype) >= STREAM_FROM
    return launch(DROPOUT, dtype, x, y, mask, mask.size, tiles(mask.size), num_threads)
