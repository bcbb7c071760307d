# Sums over columns: what the kernels are told of them, and what becomes of the chunks.

cdef enum:
    CHUNKS = 16
    LANES = 64    # of columns whose totals are added up side by side

ctypedef fused total_t:
    float
    double


cdef inline uint64_t chunks_of(uint64_t size) noexcept nogil:
    return max(<uint64_t>1, min(<uint64_t>CHUNKS, tiles(size) // CHUNKS))


def chunks_for(uint64_t size):
    """Return into how many chunks so many elements are split: the size alone says it."""
    return chunks_of(size)


cdef sums_t sums_of(cnp.ndarray totals, uint64_t size, uint64_t columns):
    """Sums of `size` elements over columns, split by the rows of `totals` alone."""
    cdef sums_t sums
    sums.totals, sums.columns, sums.tiles = address(totals), columns, tiles(size)
    sums.chunks = <uint64_t>cnp.PyArray_DIM(totals, 0)
    sums.chunk_bytes = <uint64_t>cnp.PyArray_STRIDE(totals, 0)
    return sums


cdef void fold(const total_t *totals, uint64_t chunks, uint64_t stride, uint64_t columns,
               total_t *out) noexcept nogil:
    """out[j] = the sum of all totals whose place is j modulo `columns`, chunk by chunk."""
    cdef uint64_t at = 0, column = 0, count, chunk, j
    cdef total_t part[LANES]
    while at < stride and columns:
        count = min(<uint64_t>LANES, min(columns - column, stride - at))
        memcpy(part, totals + at, count * sizeof(total_t))
        for chunk in range(1, chunks):
            for j in range(count):
                part[j] += totals[chunk * stride + at + j]
        for j in range(count):
            out[column + j] = part[j] if at < columns else out[column + j] + part[j]
        at += count
        column = (column + count) % columns


cdef void fold_sums(const sums_t *sums, bint wide, void *out) noexcept nogil:
    """The sums over columns of totals as the kernels leave them, of double or float."""
    cdef uint64_t stride = sums.chunk_bytes // (8 if wide else 4)
    if wide:
        fold(<const double*>sums.totals, sums.chunks, stride, sums.columns, <double*>out)
    else:
        fold(<const float*>sums.totals, sums.chunks, stride, sums.columns, <float*>out)


def folded(cnp.ndarray totals, uint64_t columns):
    """Return the sums over columns of totals as the kernels leave them, (chunks, at least columns).

    Both the order of the sums and their dtype, float32 or float64, are those of the totals.
    """
    cdef sums_t sums = sums_of(totals, 0, columns)
    cdef cnp.ndarray out = np.empty(columns, totals.dtype)
    fold_sums(&sums, cnp.PyArray_TYPE(totals) == cnp.NPY_FLOAT64, address(out))
    return out
