# A convolution over checked arrays, whose filters are as many as some panels have columns.

include "settings.pxi"

# So many terms of a sum take as long as an element of a dropout.
cdef enum:
    TERMS = 16


cdef uint64_t convolution(convolve_t *s, tuple maps, tuple counts, tuple size, tuple stride,
                          tuple before, uint64_t filters, uint64_t panel) except? 0:
    """Fill the settings; return as how many elements the work counts."""
    memset(s, 0, sizeof(convolve_t))
    s.windows = sliding(maps, counts, size, stride, before, 0, maps[3], None)
    s.samples, s.filters, s.panel = maps[0], filters, panel
    return s.samples * s.windows.rows * s.windows.columns * filters * (
        1 + s.windows.size[0] * s.windows.size[1] * s.windows.channels // TERMS)


def convolve(cnp.ndarray x, cnp.ndarray panels, cnp.ndarray y, int code, tuple counts, tuple size,
             tuple stride, tuple before, int num_threads=0):
    """The maps x with filters as panels (panels, window, filters of a panel)."""
    cdef convolve_t s
    cdef uint64_t work = convolution(&s, (<object>x).shape, counts, size, stride, before,
                                     cnp.PyArray_DIM(y, 3), cnp.PyArray_DIM(panels, 2))
    cdef uint64_t groups = (s.samples + TOGETHER - 1) // TOGETHER
    cdef const void *source = address(x)
    cdef void *target = address(y)
    s.panels = address(panels)
    with nogil:
        launch(CONVOLVE, code, source, target, &s, work,
               groups * (s.filters // s.panel) * s.windows.rows, num_threads)


def convolve_weight(cnp.ndarray x, cnp.ndarray dz, cnp.ndarray sums, int code, tuple counts,
                    tuple size, tuple stride, tuple before, uint64_t panel, int num_threads=0):
    """Add to sums (chunks, height, width, channels, filters), one for each chunk of samples."""
    cdef convolve_t s
    cdef uint64_t work = convolution(&s, (<object>x).shape, counts, size, stride, before,
                                     cnp.PyArray_DIM(dz, 3), panel)
    cdef const void *source = address(x)
    cdef void *target = address(sums)
    s.dz, s.chunks = address(dz), cnp.PyArray_DIM(sums, 0)
    with nogil:
        launch(CONVOLVE_WEIGHT, code, source, target, &s, work, s.chunks * (s.filters // panel),
               num_threads)
