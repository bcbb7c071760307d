# Some columns of a matrix, a stretch of all columns after the other: as runs, or each by itself.

cdef extern from "simd/simd.h" nogil:
    enum:
        STRETCH "CYD_STRETCH"  # columns at once
    ctypedef struct taken_t "cyd_taken_t":
        pass
    void take_columns "cyd_take_columns"(
        taken_t *t, const int64_t *index, uint64_t first, uint64_t taken, uint64_t count) noexcept
    void pick_columns "cyd_pick"(...) noexcept
    void put_columns "cyd_put"(...) noexcept

cdef enum:
    SIDE_BY_SIDE = 16  # columns of a run on average, from which on they are taken as runs
    MOST_RUNS = STRETCH // SIDE_BY_SIDE + 1

cdef inline uint64_t run_from(const int64_t *index, uint64_t at, uint64_t count) noexcept nogil:
    """How many numbers from place `at` on follow each other."""
    cdef uint64_t last = at + 1
    if index == NULL:
        return count - at
    while last < count and index[last] == index[last - 1] + 1:
        last += 1
    return last - at


cdef inline uint64_t number_at(const int64_t *index, uint64_t at) noexcept nogil:
    return at if index == NULL else <uint64_t>index[at]


cdef inline uint64_t place_from(const int64_t *index, uint64_t count,
                                uint64_t least) noexcept nogil:
    """The first place in a sorted index whose number is at least `least`."""
    cdef uint64_t low = 0, high = count, middle
    while low < high:
        middle = (low + high) // 2
        if <uint64_t>index[middle] < least:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline bint are_long(uint64_t runs, uint64_t count) noexcept nogil:
    """Whether runs of so many columns in all are long enough to be taken as such."""
    return runs * SIDE_BY_SIDE <= count or runs == 1


ctypedef struct stretch_t:
    uint64_t first     # of the columns
    uint64_t count
    uint64_t start     # which of the submatrix's columns are among them
    uint64_t stop
    uint64_t runs      # of these
    bint apart         # the runs are short: each column is taken by itself
    const int64_t *index
    taken_t taken
    uint64_t at[MOST_RUNS]
    uint64_t length[MOST_RUNS]


cdef void next_stretch(stretch_t *part, const submatrix_t *r) noexcept nogil:
    """Describe the next columns."""
    cdef uint64_t run, at, end, place, count
    part.first += part.count
    part.count = min(<uint64_t>STRETCH, r.stride - part.first)
    end = part.first + part.count
    part.start, part.runs = part.stop, 0
    part.stop = min(end, r.width) if r.columns == NULL else place_from(r.columns, r.width, end)
    part.index = NULL if r.columns == NULL else r.columns + part.start
    place, count = part.start, part.stop - part.start
    while place < part.stop and are_long(part.runs, count):
        at = number_at(r.columns, place)
        run = run_from(r.columns, place, part.stop)
        part.at[part.runs], part.length[part.runs] = at - part.first, run
        part.runs += 1
        place += run
    part.apart = place < part.stop or not are_long(part.runs, count)
    if part.apart:
        take_columns(&part.taken, part.index, part.first, count, part.count)


cdef inline void pick(const real *row, real *there, const stretch_t *part,
                      real scale) noexcept nogil:
    """there = scale * row, of the columns that are taken, side by side; they are apart."""
    pick_columns(
        there, row, &part.taken, part.index, part.first, part.stop - part.start, part.count, scale)


cdef inline void put(const real *there, real *row, const stretch_t *part,
                     bint remain) noexcept nogil:
    """row = there, the reverse; all others remain, or become 0 or what they were.

    Where they need not remain, a row has room for whole vectors.
    """
    put_columns(
        row, there, &part.taken, part.index, part.first, part.stop - part.start, part.count, remain)
