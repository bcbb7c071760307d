# y = scale * x where kept, else 0, for rows that lie over a stored mask of fewer axes.

cdef void apply_span(element *y, const element *x, const mask_t *mask, uint64_t bit,
                     uint64_t count) noexcept nogil:
    """`count` elements, whose bits begin anywhere."""
    cdef uint64_t phase = 0, done = 0, left
    cdef bint is_affine = mask.affine
    while count - done >= 32:
        if mask.period:
            phase = (bit + done) % mask.period
        apply_word[element](
            y + done, x + done, mask, phase, bits_at(mask.bits, bit + done, 32), is_affine)
        done += 32
    left = count - done
    if left and done and x != y:
        # Once more what was done before, and the rest with it: quicker than a part of a word.
        done = count - 32
        if mask.period:
            phase = (bit + done) % mask.period
        apply_word[element](
            y + done, x + done, mask, phase, bits_at(mask.bits, bit + done, 32), is_affine)
    elif left:
        if mask.period:
            phase = (bit + done) % mask.period
        apply_part[element](
            y + done, x + done, mask, phase, bits_at(mask.bits, bit + done, <int>left), left)


cdef void apply_same(element *y, const element *x, const mask_t *mask, uint64_t bit,
                     uint64_t count) noexcept nogil:
    """`count` elements that share one bit and one scale."""
    cdef float scale32[32]
    cdef double scale64[32]
    cdef mask_t same
    cdef uint64_t phase
    cdef uint64_t done = 0
    cdef int i
    cdef uint32_t bits = 0xffffffff
    cdef bint is_affine = mask.affine
    if not (mask.bits[bit // 32] >> (bit % 32)) & 1:
        bits = 0
        if not mask.affine:
            memset(y, 0, count * sizeof(element))
            return
    same.scale32 = mask.scale32
    same.scale64 = mask.scale64
    same.affine, same.shift, same.dropped = mask.affine, mask.shift, mask.dropped
    if mask.period:
        phase = bit % mask.period
        for i in range(32):
            scale32[i] = mask.scale32[phase]
            scale64[i] = mask.scale64[phase]
        same.scale32 = scale32
        same.scale64 = scale64
    while count - done >= 32:
        apply_word[element](y + done, x + done, &same, 0, bits, is_affine)
        done += 32
    if count > done and done and x != y:
        apply_word[element](y + count - 32, x + count - 32, &same, 0, bits, is_affine)
    elif count > done:
        apply_part[element](y + done, x + done, &same, 0, bits, count - done)


ctypedef struct walk_t:
    uint64_t index[MAX_AXES]
    uint64_t bit                # where the row begins in the mask


cdef inline void walk_to(walk_t *walk, const rows_t *rows, uint64_t row) noexcept nogil:
    cdef int axis
    walk.bit = 0
    for axis in range(rows.axes - 1, -1, -1):
        walk.index[axis] = row % rows.sizes[axis]
        walk.bit += walk.index[axis] * rows.strides[axis]
        row //= rows.sizes[axis]


cdef inline void walk_on(walk_t *walk, const rows_t *rows) noexcept nogil:
    """Go to the next row."""
    cdef int axis
    for axis in range(rows.axes - 1, -1, -1):
        walk.index[axis] += 1
        walk.bit += rows.strides[axis]
        if walk.index[axis] < rows.sizes[axis]:
            return
        walk.bit -= rows.sizes[axis] * rows.strides[axis]
        walk.index[axis] = 0


cdef uint64_t apply_repeated(element *y, const element *x, const mask_t *mask, uint64_t length,
                             uint64_t at, uint64_t last) noexcept nogil:
    """The whole words from `at` on of rows that share a bit each, side by side; where they end."""
    cdef uint64_t bit = at // length, count = 32 // length
    cdef bint is_affine = mask.affine
    while last - at >= 32:
        apply_word[element](
            y + at, x + at, mask, 0, repeat_bits(bits_at(mask.bits, bit, <int>count), length),
            is_affine)
        at += 32
        bit += count
    return at


cdef void apply_short(element *y, const element *x, const mask_t *mask, const rows_t *rows,
                      uint64_t at, uint64_t last) noexcept nogil:
    """The elements [at, last) of short rows: their bits become words that several of them share."""
    cdef walk_t walk
    cdef uint64_t words = 0, have = 0, left = rows.length - at % rows.length, count, kept = 0
    cdef bint is_affine = mask.affine
    if (rows.shared and rows.axes == 1 and rows.strides[0] == 1 and 32 % rows.length == 0
            and at % 32 == 0):
        at = apply_repeated[element](y, x, mask, rows.length, at, last)
        left = rows.length
    walk_to(&walk, rows, at // rows.length)
    while at < last:
        if rows.shared:
            # All ones or none, without a branch that nobody can predict.
            kept = 0 - <uint64_t>((mask.bits[walk.bit // 32] >> (walk.bit % 32)) & 1)
        while left:
            count = min(<uint64_t>32, left)
            if not rows.shared:
                kept = bits_at(mask.bits, walk.bit + rows.length - left, <int>count)
            left -= count
            words |= (kept & ((<uint64_t>1 << count) - 1)) << have
            have += count
            if have >= 32:
                if last - at < 32:
                    break
                apply_word[element](y + at, x + at, mask, 0, <uint32_t>words, is_affine)
                words >>= 32
                have -= 32
                at += 32
        if at + have >= last:
            if at < last:
                apply_part[element](y + at, x + at, mask, 0, <uint32_t>words, last - at)
            return
        left = rows.length
        walk_on(&walk, rows)


cdef inline void fill_scale(float *scale32, double *scale64, double scale) noexcept nogil:
    cdef int i
    for i in range(32):
        scale32[i] = <float>scale
        scale64[i] = scale


cdef void apply_rows(const element *x, element *y, const rows_t *rows, uint64_t begin,
                     uint64_t end) noexcept nogil:
    """The elements [begin, end) * span of the array."""
    cdef walk_t walk
    cdef mask_t scaled = rows.mask[0]
    cdef float scale32[32]
    cdef double scale64[32]
    cdef uint64_t place = 0
    cdef const mask_t *mask = &scaled
    cdef uint64_t at = begin * rows.span, last = min(end * rows.span, rows.size)
    cdef uint64_t column = at % rows.length, count
    cdef bint brief = rows.length < SHORT and not mask.period
    if rows.scales != NULL:
        scaled.scale32, scaled.scale64 = scale32, scale64
    elif brief:
        apply_short[element](y, x, mask, rows, at, last)
        return
    while brief and at < last:
        place = at // (rows.size // rows.sizes[0])
        count = min(last, (place + 1) * (rows.size // rows.sizes[0])) - at
        fill_scale(scale32, scale64, rows.scales[place])
        apply_short[element](y, x, mask, rows, at, at + count)
        at += count
    if brief:
        return
    walk_to(&walk, rows, at // rows.length)
    if rows.scales != NULL:
        place = walk.index[0] + 1
    while at < last:
        count = min(rows.length - column, last - at)
        if rows.scales != NULL and walk.index[0] != place:
            place = walk.index[0]
            fill_scale(scale32, scale64, rows.scales[place])
        if rows.shared:
            apply_same[element](y + at, x + at, mask, walk.bit, count)
        else:
            apply_span[element](y + at, x + at, mask, walk.bit + column, count)
        at += count
        column = 0
        walk_on(&walk, rows)


elements(DROPOUT_ROWS, <kernel_fn>apply_rows[f16], <kernel_fn>apply_rows[bf16],
         <kernel_fn>apply_rows[float], <kernel_fn>apply_rows[double])
