# Products with a matrix of which each sample keeps other entries, ready to run over arrays.

include "settings.pxi"

cdef connect_t connection(Plan plan, cnp.ndarray x, cnp.ndarray weight, uint64_t units,
                          int num_threads):
    """The settings of both passes; bits that are to be kept are drawn first."""
    cdef connect_t c
    memset(&c, 0, sizeof(c))
    if plan.store:
        plan.bits(num_threads)
    c.mask = &plan.mask
    c.x, c.weight = address(x), address(weight)
    c.rows, c.inputs = <uint64_t>cnp.PyArray_DIM(x, 0), <uint64_t>cnp.PyArray_DIM(x, 1)
    c.units, c.stride = units, <uint64_t>cnp.PyArray_DIM(weight, 1)
    c.block = max(<uint64_t>1, SPAN // units)
    return c


def connect(Plan plan, cnp.ndarray x, cnp.ndarray weight, cnp.ndarray y, int code,
            uint64_t units, int num_threads=0):
    """y[n, j] += the sum over i of x[n, i] weight[i, j] where kept.

    Element (n inputs + i) units + j of the plan says whether entry (i, j) is kept for sample n.
    The arrays are contiguous and of one dtype; `weight` and `y` have `units` columns padded to a
    multiple of 32.
    """
    cdef connect_t c = connection(plan, x, weight, units, num_threads)
    cdef const void *source = address(x)
    cdef void *target = address(y)
    with nogil:
        launch(DROP_CONNECT, code, source, target, &c, c.rows * c.inputs * units, c.rows,
               num_threads)


def connect_backward(Plan plan, cnp.ndarray dy, cnp.ndarray x, cnp.ndarray weight,
                     cnp.ndarray dx, cnp.ndarray dweight, int code, uint64_t units,
                     int num_threads=0):
    """Where kept, dweight[i, j] += the sum over n of x[n, i] dy[n, j], and dx[n, i] += the sum over
    j of weight[i, j] dy[n, j]; `dx` may be None. A block of rows has one thread, so that the sums
    do not depend on their number."""
    cdef connect_t c = connection(plan, x, weight, units, num_threads)
    cdef const void *source = address(dy)
    cdef void *target = address(dweight)
    c.dx = address_or_null(dx)
    with nogil:
        launch(DROP_CONNECT_BACKWARD, code, source, target, &c, c.rows * c.inputs * units, (c.inputs
               + c.block - 1) // c.block, num_threads)
