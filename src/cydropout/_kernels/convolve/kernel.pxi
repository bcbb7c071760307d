# A convolution where the maps lie: windows are read there, and never laid out as a matrix.

include "settings.pxi"

cdef extern from "simd/simd.h" nogil:
    ctypedef struct panel_t "cyd_panel_t":
        uint64_t c_row
        uint64_t a_row
        uint64_t a_block
        uint64_t a_segment
        uint64_t a_term
        uint64_t b_block
        uint64_t b_segment
        uint64_t b_term
        uint64_t blocks
        uint64_t segments
        uint64_t terms
        uint64_t columns
        bint more
    void panel_rows "cyd_panel_rows"(...) noexcept
    void panel_columns "cyd_panel_columns"(...) noexcept

# So many terms, beside which it is little to read sums and to write them again.
cdef enum:
    ENOUGH = 128


cdef void convolve_rows(const real *x, real *y, const convolve_t *s, uint64_t begin,
                        uint64_t end) noexcept nogil:
    """y[n, i, j, f] = sum_kmc W[k, m, c, f] x[n, i s - p + k, j s - p + m, c].

    A unit of work is a row of windows of some samples, which have the same part of the window at
    the same place, by one panel.
    """
    cdef const windows_t *w = &s.windows
    cdef uint64_t unit, j, top, bottom, left, right, sample, panel, i, count
    cdef uint64_t line = w.size[1] * w.channels, panels = s.filters // s.panel
    cdef int64_t row, column
    cdef const real *filters
    cdef const real *window
    cdef real *target
    cdef panel_t p
    memset(&p, 0, sizeof(panel_t))
    p.c_row, p.a_row = w.rows * w.columns * s.filters, w.height * w.width * w.channels
    p.a_segment, p.b_segment = w.width * w.channels, line * s.panel
    p.columns, p.blocks = s.panel, 1
    for unit in range(begin, end):
        i, panel = unit % w.rows, unit // w.rows % panels
        sample = unit // w.rows // panels * TOGETHER
        count = min(<uint64_t>TOGETHER, s.samples - sample)
        row = clipped(i, w, 0, w.height, &top, &bottom) + <int64_t>top
        p.segments = bottom - top
        target = y + sample * p.c_row + i * w.columns * s.filters + panel * s.panel
        for j in range(w.columns):
            column = clipped(j, w, 1, w.width, &left, &right) + <int64_t>left
            p.terms = (right - left) * w.channels
            filters = <const real*>s.panels + panel * w.size[0] * p.b_segment
            filters += top * p.b_segment + left * w.channels * s.panel
            window = x + sample * p.a_row
            if p.segments and p.terms:
                window += (row * <int64_t>w.width + column) * <int64_t>w.channels
            panel_rows(y, target, window, filters, &p, count)
            target += s.filters


cdef inline uint64_t span(const windows_t *w, int axis, uint64_t k, uint64_t length,
                          uint64_t count, uint64_t *first) noexcept nogil:
    """How many windows have their element k inside the map, from the first one on."""
    cdef int64_t shift = <int64_t>w.before[axis] - <int64_t>k
    cdef int64_t stride = <int64_t>w.stride[axis]
    cdef int64_t low = (shift + stride - 1) // stride if shift > 0 else 0
    cdef int64_t high = (<int64_t>length - 1 + shift) // stride + 1
    if <int64_t>length - 1 + shift < 0:
        high = 0
    high = min(high, <int64_t>count)
    first[0] = <uint64_t>low
    return <uint64_t>(high - low) if high > low else 0


cdef void convolve_weight_rows(const real *x, real *y, const convolve_t *s, uint64_t begin,
                               uint64_t end) noexcept nogil:
    """dW[k, m, c, f] = sum_nij x[n, i s - p + k, j s - p + m, c] dz[n, i, j, f].

    A unit of work is one panel for a chunk of the samples, which adds to a dW of its own. Some
    samples at a time are read for all places (k, m) of the window, while they are in a cache.
    """
    cdef const windows_t *w = &s.windows
    cdef uint64_t unit, chunk, sample, last, k, m, row, rows, i, j, lines
    cdef uint64_t size = w.size[0] * w.size[1] * w.channels * s.filters
    cdef uint64_t together = 1 + ENOUGH // (w.rows * w.columns)
    cdef const real *dz = <const real*>s.dz
    cdef const real *source
    cdef const real *slope
    cdef real *target
    cdef panel_t p
    memset(&p, 0, sizeof(panel_t))
    p.more = True
    p.c_row, p.columns = s.filters, s.panel
    p.a_block, p.b_block = w.height * w.width * w.channels, w.rows * w.columns * s.filters
    p.a_segment, p.a_term = w.stride[0] * w.width * w.channels, w.stride[1] * w.channels
    p.b_segment, p.b_term = w.columns * s.filters, s.filters
    for unit in range(begin, end):
        chunk = unit // (s.filters // s.panel)
        sample, last = s.samples * chunk // s.chunks, s.samples * (chunk + 1) // s.chunks
        slope = dz + unit % (s.filters // s.panel) * s.panel
        target = y + chunk * size + unit % (s.filters // s.panel) * s.panel
        while sample < last:
            p.blocks = min(together, last - sample)
            for k in range(w.size[0]):
                rows = span(w, 0, k, w.height, w.rows, &i)
                for m in range(w.size[1]):
                    p.terms = span(w, 1, m, w.width, w.columns, &j)
                    lines = rows if p.blocks > 1 else 1 + ENOUGH // max(p.terms, 1)
                    source = x + sample * p.a_block + (
                        (i * w.stride[0] + k - w.before[0]) * w.width
                        + j * w.stride[1] + m - w.before[1]) * w.channels
                    row = 0
                    while row < rows and p.terms:
                        p.segments = min(lines, rows - row)
                        panel_columns(y, target + (k * w.size[1] + m) * w.channels * s.filters,
                                      source + row * p.a_segment,
                                      slope + sample * p.b_block + (i + row) * p.b_segment
                                      + j * s.filters, &p, w.channels)
                        row += p.segments
            sample += p.blocks


reals(CONVOLVE, <kernel_fn>convolve_rows[float], <kernel_fn>convolve_rows[double])
reals(CONVOLVE_WEIGHT, <kernel_fn>convolve_weight_rows[float],
      <kernel_fn>convolve_weight_rows[double])
