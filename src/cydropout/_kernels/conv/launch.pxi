# Windows over maps (samples, height, width, channels), ready to run over checked arrays.

include "settings.pxi"

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
    w.at = <uint8_t*>address_or_null(at)
    return w


def windows(int kind, cnp.ndarray x, cnp.ndarray y, int code, tuple maps, tuple counts, tuple size,
            tuple stride, tuple before, uint64_t first=0, uint64_t taken=0, cnp.ndarray at=None,
            int num_threads=0):
    """Run the pass of that row of the table: from maps to windows, or backwards."""
    cdef windows_t w = sliding(maps, counts, size, stride, before, first, taken, at)
    cdef uint64_t samples = maps[0]
    cdef uint64_t units = samples
    cdef uint64_t work = <uint64_t>max(cnp.PyArray_SIZE(x), cnp.PyArray_SIZE(y))
    cdef const void *source = address(x)
    cdef void *target = address(y)
    if kind == UNFOLD or kind == MAX_POOL or kind == MEAN_POOL:
        units = samples * w.rows
    elif kind == FOLD:
        units = samples * w.height
    elif kind != MAX_POOL_BACKWARD and kind != MEAN_POOL_BACKWARD:
        raise ValueError(f"{kind} is no kernel over windows")
    if work == 0 or units == 0:
        return
    with nogil:
        launch(kind, code, source, target, &w, work, units, num_threads)
