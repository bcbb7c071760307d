# Windows over maps (samples, height, width, channels), ready to run over checked arrays.

cdef windows_t sliding(tuple maps, tuple counts, tuple size, tuple stride, tuple before,
                       uint64_t first, uint64_t taken, cnp.ndarray at):
    """`counts` windows along each axis; `at` holds what `max_pool` chose."""
    cdef windows_t w
    cdef int axis
    w.height, w.width, w.channels = maps[1], maps[2], maps[3]
    w.rows, w.columns = counts
    for axis in range(2):
        w.size[axis], w.stride[axis], w.before[axis] = size[axis], stride[axis], before[axis]
    w.first, w.taken = first, taken
    w.at = NULL if at is None else <uint8_t*>cnp.PyArray_DATA(at)
    return w


def windows(str kind, cnp.ndarray x, cnp.ndarray y, int code, tuple maps, tuple counts, tuple size,
            tuple stride, tuple before, uint64_t first=0, uint64_t taken=0, cnp.ndarray at=None,
            int num_threads=0):
    """Run one of the passes over windows: from maps to windows, or backwards."""
    cdef windows_t w = sliding(maps, counts, size, stride, before, first, taken, at)
    cdef uint64_t samples = maps[0]
    cdef uint64_t units = samples
    cdef uint64_t work = <uint64_t>max(cnp.PyArray_SIZE(x), cnp.PyArray_SIZE(y))
    cdef const void *source = cnp.PyArray_DATA(x)
    cdef void *target = cnp.PyArray_DATA(y)
    cdef kernel_fn kernel
    if kind == "unfold":
        kernel, units = table.unfold[code], samples * w.rows
    elif kind == "fold":
        kernel, units = table.fold[code], samples * w.height
    elif kind == "max":
        kernel, units = table.max_pool[code], samples * w.rows
    elif kind == "max_back":
        kernel = table.max_pool_back[code]
    elif kind == "mean":
        kernel, units = table.mean_pool[code], samples * w.rows
    else:
        kernel = table.mean_pool_back[code]
    if work == 0 or units == 0:
        return
    with nogil:
        run(kernel, source, target, &w, work, units, num_threads)
