# What happens between two states of a recurrent network, over several arrays in one pass.

cdef extern from "simd/simd.h" nogil:
    void blend_16 "cyd_blend_16"(void *y, const void *yes, const void *no, uint32_t bits) noexcept
    void blend_32 "cyd_blend_32"(void *y, const void *yes, const void *no, uint32_t bits) noexcept
    void blend_64 "cyd_blend_64"(void *y, const void *yes, const void *no, uint32_t bits) noexcept
    void split_16 "cyd_split_16"(void *dyes, void *dno, const void *dy, uint32_t bits) noexcept
    void split_32 "cyd_split_32"(void *dyes, void *dno, const void *dy, uint32_t bits) noexcept
    void split_64 "cyd_split_64"(void *dyes, void *dno, const void *dy, uint32_t bits) noexcept


ctypedef void (*words_fn)(const joint_t *joint, uint64_t at, uint64_t phase, const uint32_t *words,
                          uint64_t count) noexcept nogil

cdef void joint_part(const joint_t *joint, words_fn run, uint64_t at, uint64_t phase,
                     const uint32_t *words, uint64_t count) noexcept nogil:
    """`run` for the first `count` of 32 elements; the others are not touched."""
    cdef double parts[10][32]   # the inputs, then the outputs
    cdef joint_t part = joint[0]
    cdef uint64_t size = joint.size
    cdef int i
    memset(parts, 0, sizeof(parts))
    for i in range(JOINT):
        if joint.inputs[i] != NULL:
            memcpy(parts[i], <const char*>joint.inputs[i] + at * size, count * size)
        part.inputs[i] = parts[i]
        part.outputs[i] = parts[JOINT + i]
    run(&part, 0, phase, words, 1)
    for i in range(JOINT):
        if joint.outputs[i] != NULL:
            memcpy(<char*>joint.outputs[i] + at * size, parts[JOINT + i], count * size)


cdef void joint_tiles(const joint_t *joint, words_fn run, uint64_t begin,
                      uint64_t end) noexcept nogil:
    cdef const mask_t *mask = joint.mask
    cdef cursor_t cursor
    cdef const uint32_t *words
    cdef uint64_t tile, at, left, whole, phase = 0
    cursor.has_above = False
    for tile in range(begin, end):
        words = tile_words(mask, tile, &cursor)
        at = tile * TILE
        left = min(<uint64_t>TILE, mask.size - at)
        if mask.period:
            phase = at % mask.period
        run(joint, at, phase, words, left // 32)
        whole = left // 32 * 32
        if left % 32:
            joint_part(joint, run, at + whole, phase + (whole if mask.period else 0),
                       words + whole // 32, left % 32)


cdef inline const char *read_at(const joint_t *joint, int array, uint64_t at) noexcept nogil:
    return <const char*>joint.inputs[array] + at * joint.size


cdef inline char *write_at(const joint_t *joint, int array, uint64_t at) noexcept nogil:
    return <char*>joint.outputs[array] + at * joint.size


cdef void blend_words(const joint_t *joint, uint64_t at, uint64_t phase, const uint32_t *words,
                      uint64_t count) noexcept nogil:
    cdef const char *new = read_at(joint, 0, at)
    cdef const char *previous = read_at(joint, 1, at)
    cdef char *y = write_at(joint, 0, at)
    cdef uint64_t word, step = 32 * joint.size
    for word in range(count):
        if joint.size == 2:
            blend_16(y, new, previous, words[word])
        elif joint.size == 4:
            blend_32(y, new, previous, words[word])
        else:
            blend_64(y, new, previous, words[word])
        y, new, previous = y + step, new + step, previous + step


cdef void split_words(const joint_t *joint, uint64_t at, uint64_t phase, const uint32_t *words,
                      uint64_t count) noexcept nogil:
    cdef const char *dy = read_at(joint, 0, at)
    cdef char *dnew = write_at(joint, 0, at)
    cdef char *dprevious = write_at(joint, 1, at)
    cdef uint64_t word, step = 32 * joint.size
    for word in range(count):
        if joint.size == 2:
            split_16(dnew, dprevious, dy, words[word])
        elif joint.size == 4:
            split_32(dnew, dprevious, dy, words[word])
        else:
            split_64(dnew, dprevious, dy, words[word])
        dy, dnew, dprevious = dy + step, dnew + step, dprevious + step


cdef void blend_range(const void *x, void *y, const joint_t *joint, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """y = new where kept, else previous; inputs new, previous."""
    joint_tiles(joint, blend_words, begin, end)


cdef void split_range(const void *x, void *y, const joint_t *joint, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """dnew = dy where kept, dprevious = dy where not, else 0; input dy."""
    joint_tiles(joint, split_words, begin, end)


any_dtype(ZONEOUT, <kernel_fn>blend_range)
any_dtype(ZONEOUT_BACKWARD, <kernel_fn>split_range)
