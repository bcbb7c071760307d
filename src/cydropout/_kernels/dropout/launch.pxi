# A map y = scale * keep * x over the elements of one draw, ready to run over arrays.

cdef void spread(const uint64_t *q, uint64_t period, uint64_t count, uint64_t stride,
                 uint32_t *own) noexcept nogil:
    """Turn `count` thresholds, repeated after `period`, into the 33 rows of bits of a mask_t."""
    cdef uint64_t i, at = 0, value, word
    cdef uint64_t whole = (64 // period + 1) * period   # more than a word
    cdef const uint32_t *row
    cdef int j
    for i in range(min(count, (whole + 31) // 32 * 32)):
        value = q[at]
        at += 1
        if at == period:
            at = 0
        if value >> 32:
            own[32 * stride + i // 32] |= <uint32_t>1 << (i % 32)
            continue
        for j in range(32):
            own[j * stride + i // 32] |= <uint32_t>((value >> (31 - j)) & 1) << (i % 32)
    for word in range((whole + 31) // 32, (count + 31) // 32):
        at = 32 * word - whole
        for j in range(33):
            row = own + j * stride + at // 32
            own[j * stride + word] = row[0] >> (at % 32)
            if at % 32:
                own[j * stride + word] |= row[1] << (32 - at % 32)


cdef int _code_if_ready(cnp.ndarray x):
    """The dtype_t of an array that the kernels can read as it lies, or -1."""
    cdef int number = cnp.PyArray_TYPE(x)
    if not cnp.PyArray_ISCARRAY_RO(x):
        return -1
    if number == cnp.NPY_FLOAT32:
        return FLOAT32
    if number == cnp.NPY_FLOAT64:
        return FLOAT64
    return FLOAT16 if number == cnp.NPY_FLOAT16 else -1


def ready(x, out):
    """Return the dtype_t if `x` and `out` (or None) can be used as they lie, or -1.

    -1 says nothing of the arrays but that they need the general way.
    """
    cdef cnp.ndarray a, b
    cdef int code, axis
    cdef char *first
    cdef char *second
    if type(x) is not np.ndarray:
        return -1
    a = x
    code = _code_if_ready(a)
    if code < 0 or out is None:
        return code
    if type(out) is not np.ndarray:
        return -1
    b = out
    if _code_if_ready(b) != code or not cnp.PyArray_ISWRITEABLE(b) or a.ndim != b.ndim:
        return -1
    for axis in range(a.ndim):
        if cnp.PyArray_DIM(a, axis) != cnp.PyArray_DIM(b, axis):
            return -1
    first, second = <char*>cnp.PyArray_DATA(a), <char*>cnp.PyArray_DATA(b)
    if first != second and (
            first < second + cnp.PyArray_NBYTES(b) and second < first + cnp.PyArray_NBYTES(a)):
        return -1
    return code


def new_like(cnp.ndarray x):
    """Return an array of the shape and dtype of `x`, in C order: `numpy.empty`, but fast."""
    return PyArray_NewLikeArray(x, cnp.NPY_CORDER, NULL, 0)


def dropout(uint64_t key, uint64_t draw, double rate, cnp.ndarray x, cnp.ndarray y, int code,
            int num_threads=0):
    """y = x * 2**32 / q where kept, else 0, for arrays that are `ready`."""
    cdef const void *source = address(x)
    cdef void *target = address(y)
    cdef uint64_t size = <uint64_t>cnp.PyArray_SIZE(x)
    with nogil:
        apply_dropout(key, draw, 0, rate, source, size, <dtype_t>code, target, num_threads)


cdef void repeat(char *to, const void *values, uint64_t size, uint64_t whole) noexcept nogil:
    """Write `whole` bytes: those of the values, of `size`, over and over; they may be there."""
    cdef uint64_t done = min(size, whole)
    if to != values:
        memcpy(to, values, done)
    while 0 < done < whole:
        memcpy(to + done, to, min(done, whole - done))
        done += min(done, whole - done)


def repeated(cnp.ndarray values, uint64_t count):
    """Return `count` elements: contiguous `values` over and over; `numpy.resize`, but fast."""
    cdef cnp.ndarray out = np.empty(count, values.dtype)
    repeat(<char*>address(out), address(values), <uint64_t>cnp.PyArray_NBYTES(values),
           <uint64_t>cnp.PyArray_NBYTES(out))
    return out


cdef class Table:
    """Thresholds q and scales that differ between elements, repeated by period, as kernels want.

    The rows of bits and of scales go on for a tile, so that a tile never wraps around.
    """

    cdef readonly uint64_t period
    cdef uint64_t stride
    cdef int digits
    cdef cnp.ndarray own, wide, narrow

    def __cinit__(self, q, scale):
        cdef cnp.ndarray thresholds = np.ascontiguousarray(q, np.uint64)
        cdef uint64_t count
        if q.size == 0 or q.shape != scale.shape:
            raise ValueError(f"{q.size} thresholds and {scale.size} scales")
        self.period = <uint64_t>q.size
        self.digits = count_digits(int(np.bitwise_or.reduce(q & np.uint64(0xffffffff))))
        count = self.period + TILE + 32
        self.stride = (count + 31) // 32 + 2
        self.own = np.zeros((33, self.stride), np.uint32)
        self.wide = repeated(np.ascontiguousarray(scale, np.float64), self.period + TILE)
        self.narrow = self.wide.astype(np.float32)
        cdef const uint64_t *values = <const uint64_t*>address(thresholds)
        cdef uint32_t *rows = <uint32_t*>address(self.own)
        with nogil:
            spread(values, self.period, count, self.stride, rows)


cdef class Plan:
    """The map y = scale * keep * x: `map` is a Table, or the q and scale that all share.

    Inputs are checked by the callers: arrays are contiguous, aligned, native, and of `size`
    elements; `code` is a dtype_t. The keep-bits are drawn on the first use and kept if `store`.
    """

    cdef mask_t mask
    cdef float shared32[32]
    cdef double shared64[32]
    cdef Table table
    cdef cnp.ndarray words
    cdef bint store

    def __cinit__(self, uint64_t key, uint64_t draw, uint64_t offset, uint64_t size, map,
                  bint store):
        cdef mask_t *mask = &self.mask
        memset(mask, 0, sizeof(mask_t))
        mask.key, mask.draw, mask.offset, mask.size = key, draw, offset, size
        mask.source = DRAW
        self.store = store
        if not isinstance(map, Table):
            mask.q = map[0]
            mask.digits = count_digits(mask.q)
            set_scale(mask, self.shared32, self.shared64, map[1])
            return
        self.table = map
        mask.digits = self.table.digits
        mask.period = self.table.period
        mask.own = <const uint32_t*>address(self.table.own)
        mask.own_stride = self.table.stride
        mask.scale32 = <const float*>address(self.table.narrow)
        mask.scale64 = <const double*>address(self.table.wide)

    def set_affine(self, double shift, double dropped):
        """Say what `affine` makes of elements beyond scale * x, before the first use."""
        self.mask.shift, self.mask.dropped = shift, dropped

    def redraw(self, uint64_t draw):
        """Say that another draw is used from now on; its bits take the place of those before."""
        self.mask.draw, self.mask.source = draw, DRAW

    def set_bits(self, cnp.ndarray words):
        """Give the keep-bits, which are not drawn then, before the first use."""
        self.words, self.store = words, True
        self.mask.bits, self.mask.source = <uint32_t*>address(words), STORED

    @property
    def nbytes(self):
        """Bytes of keep-bits that are held from forward to backward."""
        return (self.mask.size + 31) // 32 * 4 if self.store else 0

    cdef mask_t ready(self):
        """The mask, told to store the bits where they are wanted and not there yet.

        Threads that use it first at the same time write the same bits to the same words.
        """
        cdef mask_t mask
        cdef cnp.ndarray words = None
        if self.store and self.words is None:
            words = np.empty((self.mask.size + 31) // 32, np.uint32)
        with cython.critical_section(self):
            if self.store and self.words is None:
                self.words = words
            mask = self.mask
        if self.store and mask.source == DRAW:
            mask.bits = <uint32_t*>address(self.words)
            mask.source = DRAW_AND_STORE
        return mask

    cdef void keep_words(self, const mask_t *mask) noexcept:
        if mask.source == DRAW_AND_STORE:
            with cython.critical_section(self):
                self.mask.bits = mask.bits
                self.mask.source = STORED

    def bits(self, int num_threads=0):
        """Return the packed keep-bits: bit i % 32 of word i // 32 is that of element i."""
        cdef mask_t mask = self.ready()
        cdef cnp.ndarray words = self.words
        if mask.source == STORED:
            return words
        if words is None:
            words = np.empty((mask.size + 31) // 32, np.uint32)
        mask.bits = <uint32_t*>address(words)
        mask.source = DRAW_AND_STORE
        with nogil:
            run_draw(&mask, num_threads)
        if self.store:
            self.keep_words(&mask)
        return words

    def apply(self, cnp.ndarray x, cnp.ndarray y, int code, int num_threads=0,
              bint affine=False):
        """y = scale * x where kept, else 0; `y` may be `x`."""
        cdef mask_t mask = self.ready()
        mask.affine = affine
        cdef const void *source = address(x)
        cdef void *target = address(y)
        with nogil:
            run_apply(&mask, source, target, code, num_threads)
        self.keep_words(&mask)

    def apply_rows(self, cnp.ndarray x, cnp.ndarray y, int code, list sizes, list strides,
                   uint64_t length, bint shared, int num_threads=0, bint affine=False,
                   cnp.ndarray scales=None):
        """y = scale * x where kept, else 0, for rows that share the mask's bits.

        The rows are numbered by the axes `sizes`, each moving `strides` mask elements; a row has
        `length` elements, which share one bit, or have one each. With `scales`, float64, there is
        one scale for each place along the first axis.
        """
        cdef rows_t rows
        cdef const void *source = address(x)
        cdef void *target = address(y)
        cdef cnp.ndarray words = self.bits(num_threads)
        cdef mask_t mask = self.mask
        cdef uint64_t count = 1
        cdef int axis
        mask.bits = <uint32_t*>address(words)
        mask.source = STORED
        mask.affine = affine
        rows.axes = <int>len(sizes)
        for axis in range(rows.axes):
            rows.sizes[axis] = sizes[axis]
            rows.strides[axis] = strides[axis]
            count *= rows.sizes[axis]
        rows.length, rows.span, rows.shared = length, 4 * TILE, shared
        rows.size = count * length
        rows.mask = &mask
        rows.scales = <const double*>address_or_null(scales)
        with nogil:
            launch(DROPOUT_ROWS, code, source, target, &rows, rows.size, (rows.size + rows.span - 1)
                   // rows.span, num_threads)

    def forward(self, cnp.ndarray z, cnp.ndarray bias, cnp.ndarray y, int code, int kind,
                double a, uint64_t columns, int num_threads=0):
        """y = scale * act(z + bias) where kept, else 0; `bias` goes on for a tile."""
        cdef fused_t fused
        cdef mask_t mask = self.ready()
        cdef const void *source = address(z)
        cdef void *target = address(y)
        fused.mask, fused.bias = &mask, address(bias)
        fused.kind, fused.a, fused.columns = kind, a, columns
        with nogil:
            launch(BIAS_ACTIVATION_DROPOUT, code, source, target, &fused, mask.size,
                   tiles(mask.size), num_threads)
        self.keep_words(&mask)

    def backward(self, cnp.ndarray dy, cnp.ndarray z, cnp.ndarray bias, cnp.ndarray dz,
                 cnp.ndarray totals, int code, int kind, double a, uint64_t columns,
                 int num_threads=0):
        """dz = scale * dy * act'(z + bias) where kept, else 0; totals[chunk, column] += dz.

        The tiles are split by the rows of `totals` alone, so that the sums, to the bit, do not
        depend on the threads.
        """
        cdef fused_t fused
        cdef mask_t mask = self.ready()
        cdef const void *source = address(dy)
        cdef void *target = address(dz)
        fused.mask, fused.bias = &mask, address(bias)
        fused.kind, fused.a, fused.columns = kind, a, columns
        fused.z, fused.sums = address(z), sums_of(totals, mask.size, columns)
        with nogil:
            launch(BIAS_ACTIVATION_DROPOUT_BACKWARD, code, source, target, &fused, mask.size,
                   fused.sums.chunks, num_threads)
        self.keep_words(&mask)

    def joint(self, int kind, list inputs, list outputs, int code, int num_threads=0):
        """Run the kernel of that row of the table over arrays of the mask's size."""
        cdef joint_t joint
        cdef mask_t mask = self.ready()
        cdef int i
        if not <int>ZONEOUT <= kind <= <int>GATED_UPDATE_BACKWARD:
            raise ValueError(f"{kind} is no kernel of several arrays under one mask")
        joint.mask, joint.size = &mask, item_size(code)
        for i in range(JOINT):
            joint.inputs[i] = address(inputs[i]) if i < len(inputs) else NULL
            joint.outputs[i] = address(outputs[i]) if i < len(outputs) else NULL
        with nogil:
            launch(kind, code, NULL, NULL, &joint, mask.size, tiles(mask.size), num_threads)
        self.keep_words(&mask)
