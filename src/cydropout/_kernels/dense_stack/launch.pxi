# Dense layers one after the other: products, and behind each its bias, activation and dropout.

cdef extern from "dense_stack/product.h":
    ctypedef struct cyd_blas_t:
        void *matrices[2]
        void *vectors[2]
        int long_integers
    void cyd_product(const cyd_blas_t *blas, int is_wide, int a_turned, int b_turned, int64_t m,
                     int64_t n, int64_t k, const void *a, const void *b, int64_t stride,
                     void *c) noexcept nogil

cdef cyd_blas_t cblas

ctypedef struct dense_t:
    int64_t inputs
    int64_t units
    int activation
    double a
    void *z                   # (rows, units)
    void *y                   # z itself where the derivative can be told from y
    void *dz
    void *dx                  # (rows, inputs)
    char *shift               # the bias over and over, for a tile past its period; -0.0 without
    char *known               # the same for the derivative: 0 where it is told from y
    size_t shift_size
    sums_t sums
    void *room                # for a part of the weight, which then lies side by side
    # What takes part: rows and columns of the weight, and whether a step leaves the others alone.
    submatrix_t part
    bint lazy
    bint lazy_bias
    # Of one pass.
    const void *block         # the weight's part
    int64_t stride            # from a row of it to the next
    const void *weight
    const void *bias
    void *dweight
    void *dbias
    mask_t mask
    # Of several steps: what the mask's source is before its bits are there, and whether it draws.
    source_t source
    bint draws


def set_blas(list matrices, list vectors, bint long_integers):
    """Name cblas_sgemm and cblas_dgemm, and cblas_sgemv and cblas_dgemv.

    Their integers may have 64 bits.
    """
    for i in range(2):
        cblas.matrices[i] = <void*><size_t>matrices[i]
        cblas.vectors[i] = <void*><size_t>vectors[i]
    cblas.long_integers = long_integers


cdef inline submatrix_t bias_part(const dense_t *layer) noexcept nogil:
    """Where the units that take part have their bias."""
    cdef submatrix_t r = layer.part
    r.rows, r.height, r.span, r.scale = NULL, 1, 1, 1
    return r


cdef class DenseStack:
    """Layers are tuples (inputs, units, activation, a, z, y, dz, dx, shift, known, totals, room).

    The arrays are those that a dense_t names, and all are checked by the caller; `rows` counts the
    samples. `entry`, or None, has room for what takes part of x.
    """

    cdef list keep, index
    cdef dense_t *layers
    cdef int count, code
    cdef int64_t rows
    cdef const void *x
    cdef void *input_room
    cdef bint gathers_input   # x is not used as it lies
    cdef submatrix_t input_part

    def __cinit__(self, int64_t rows, list layers, int code, cnp.ndarray entry):
        cdef dense_t *layer
        self.keep, self.count, self.code, self.rows = [layers, entry], len(layers), code, rows
        self.input_room = address_or_null(entry)
        self.layers = <dense_t*>calloc(max(self.count, 1), sizeof(dense_t))
        if self.layers == NULL:
            raise MemoryError
        for i in range(self.count):
            layer = &self.layers[i]
            (layer.inputs, layer.units, layer.activation, layer.a,
             z, y, dz, dx, shift, known, totals, room) = layers[i]
            layer.room, layer.sums.totals = address_or_null(room), address(totals)
            layer.z, layer.y = address_or_null(z), address_or_null(y)
            layer.dz, layer.dx = address_or_null(dz), address_or_null(dx)
            layer.shift, layer.known = <char*>address_or_null(shift), <char*>address_or_null(known)
            layer.shift_size = shift.nbytes
        self.restore()

    def __dealloc__(self):
        free(self.layers)

    cdef int restore(self) except -1:
        """Have all take part."""
        return self.restrict([None] * (self.count + 1), [True] * (self.count + 1), 1.0)

    cdef int restrict(self, list index, list lazy, double scale) except -1:
        """Have some inputs, and some units of each layer, take part alone, from now on.

        Their numbers are arrays of int64, or None for all; there are two at least. `lazy` says of
        each whether a step may leave the weights of the others alone, and x enters times `scale`.
        """
        cdef dense_t *layer
        cdef size_t item = item_size(self.code)
        cdef uint64_t rows = <uint64_t>self.rows
        self.index = index
        for i in range(self.count):
            layer = &self.layers[i]
            layer.part = submatrix_of(
                index[i], index[i + 1],
                <uint64_t>layer.inputs if index[i] is None else len(index[i]),
                <uint64_t>layer.units if index[i + 1] is None else len(index[i + 1]),
                <uint64_t>layer.units)
            layer.lazy, layer.lazy_bias = lazy[i] and lazy[i + 1], lazy[i + 1]
            layer.sums.columns = layer.part.width if self.has_bias(layer) else 1
            layer.sums.tiles = tiles(rows * layer.part.width)
            layer.sums.chunks = chunks_of(rows * layer.part.width)
            layer.sums.chunk_bytes = (layer.sums.columns + TILE) * item
        layer = self.layers
        self.gathers_input = index[0] is not None or scale != 1
        self.input_part = submatrix_of(
            None, index[0], rows, layer.part.height, <uint64_t>layer.inputs, scale)
        return 0

    cdef bint has_bias(self, const dense_t *layer) noexcept nogil:
        return layer.shift_size != (1 + TILE) * item_size(self.code)

    cdef bint is_ready(self, object array, int64_t rows, int64_t columns) noexcept:
        """Whether an array can be used as it lies: (rows, columns), or without rows (columns,)."""
        cdef cnp.ndarray a
        if type(array) is not np.ndarray:
            return False
        a = array
        return (
            _code_if_ready(a) == self.code and a.ndim == (2 if rows else 1)
            and cnp.PyArray_DIM(a, a.ndim - 1) == columns
            and (not rows or cnp.PyArray_DIM(a, 0) == rows)
        )

    def fits(self, x, list weights, list biases):
        """Whether these are arrays of the layers' shapes and dtype, ready to be used."""
        cdef dense_t *layer = self.layers
        if len(weights) != self.count or len(biases) != self.count:
            return False
        if not self.is_ready(x, self.rows, layer.inputs):
            return False
        for i in range(self.count):
            layer = &self.layers[i]
            if not self.is_ready(weights[i], layer.inputs, layer.units):
                return False
            if biases[i] is None:
                if self.has_bias(layer):
                    return False
            elif not self.is_ready(biases[i], 0, layer.units):
                return False
        return True

    cdef int take_parameters(self, list weights, list biases) except -1:
        for i in range(self.count):
            self.layers[i].weight = address_or_null(weights[i])
            self.layers[i].bias = address_or_null(biases[i])
        return 0

    cdef int take_gradients(self, list dweights, list dbiases) except -1:
        for i in range(self.count):
            self.layers[i].dweight = address_or_null(dweights[i])
            self.layers[i].dbias = address_or_null(dbiases[i])
        return 0

    cdef void take_masks(self, list plans):
        cdef Plan plan
        for i in range(self.count):
            plan = plans[i]
            self.layers[i].mask = plan.ready()

    cdef void keep_words(self, list plans):
        for i in range(self.count):
            (<Plan>plans[i]).keep_words(&self.layers[i].mask)

    cdef fused_t fused(self, const dense_t *layer) noexcept nogil:
        cdef fused_t fused
        fused.mask, fused.sums = &layer.mask, layer.sums
        fused.kind, fused.a, fused.columns = layer.activation, layer.a, layer.sums.columns
        return fused

    def forward(self, cnp.ndarray x, list weights, list biases, list plans, int num_threads=0):
        """y = mask(act(h W + b)), with h = x or the y of the layer before."""
        cdef const void *h = address(x)
        self.take_parameters(weights, biases)
        self.take_masks(plans)
        with nogil:
            self.run_forward(h, num_threads)
        self.keep_words(plans)

    cdef int run_forward(self, const void *h, int num_threads) except -1 nogil:
        cdef dense_t *layer
        cdef fused_t fused
        if self.gathers_input:
            launch(GATHER_SUBMATRIX, self.code, h, self.input_room, &self.input_part,
                   self.input_part.height * self.input_part.width, row_units(&self.input_part),
                   num_threads)
            h = self.input_room
        self.x = h
        for i in range(self.count):
            layer = &self.layers[i]
            self.take_part(layer, num_threads)
            cyd_product(&cblas, self.code == FLOAT64, False, False, self.rows, layer.part.width,
                        layer.part.height, h, layer.block, layer.stride, layer.z)
            fused = self.fused(layer)
            fused.bias = layer.shift
            launch(BIAS_ACTIVATION_DROPOUT, self.code, layer.z, layer.y, &fused,
                   layer.mask.size, tiles(layer.mask.size), num_threads)
            h = layer.y
        return 0

    cdef int take_part(self, dense_t *layer, int num_threads) except -1 nogil:
        """Find the part of the weight, as it lies or gathered, and repeat that of the bias."""
        cdef uint64_t item = item_size(self.code), size = layer.part.width * item
        cdef const submatrix_t *part = &layer.part
        cdef submatrix_t own = bias_part(layer)
        if is_run(part.rows, part.height) and is_run(part.columns, part.width):
            layer.stride = layer.units
            layer.block = <const char*>layer.weight + item * (
                part.stride * (0 if part.rows == NULL else part.rows[0])
                + (0 if part.columns == NULL else part.columns[0]))
        else:
            layer.block, layer.stride = layer.room, part.width
            launch(GATHER_SUBMATRIX, self.code, layer.weight, layer.room, part,
                   part.height * part.width, row_units(part), num_threads)
        if layer.bias == NULL:
            return 0
        if part.columns == NULL:
            repeat(layer.shift, layer.bias, size, size + TILE * item)
            return 0
        launch(GATHER_SUBMATRIX, self.code, layer.bias, layer.shift, &own, own.width, 1, 1)
        repeat(layer.shift, layer.shift, size, size + TILE * item)
        return 0

    def backward(self, cnp.ndarray dy, list dweights, list dbiases, list plans,
                 bint input_gradient, int num_threads=0):
        """dz = act'(z) mask(dy); dW = h'dz, db = the sum of dz over the samples, dh = dz W'."""
        cdef const void *d = address(dy)
        self.take_gradients(dweights, dbiases)
        self.take_masks(plans)
        with nogil:
            self.run_backward(d, input_gradient, num_threads)
        self.keep_words(plans)

    cdef int run_backward(self, const void *d, bint input_gradient,
                          int num_threads) except -1 nogil:
        cdef bint wide = self.code == FLOAT64
        cdef const void *h
        cdef dense_t *layer
        cdef fused_t fused
        cdef int i
        for i in range(self.count - 1, -1, -1):
            layer = &self.layers[i]
            h = self.layers[i - 1].y if i else self.x
            memset(layer.sums.totals, 0, layer.sums.chunks * layer.sums.chunk_bytes)
            fused = self.fused(layer)
            fused.bias, fused.z = layer.known, layer.z if layer.activation else d
            launch(BIAS_ACTIVATION_DROPOUT_BACKWARD, self.code, d, layer.dz, &fused,
                   layer.mask.size, layer.sums.chunks, num_threads)
            if layer.dbias != NULL:
                fold_sums(&layer.sums, wide, layer.dbias)
            cyd_product(&cblas, wide, True, False, layer.part.height, layer.part.width, self.rows,
                        h, layer.dz, layer.part.width, layer.dweight)
            if i or input_gradient:
                cyd_product(&cblas, wide, False, True, self.rows, layer.part.height,
                            layer.part.width, layer.dz, layer.block, layer.stride, layer.dx)
            d = layer.dx
        return 0
