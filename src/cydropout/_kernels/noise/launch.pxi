# Multiplicative noise over the elements of one draw, ready to run over arrays.

include "settings.pxi"

cdef class Noise:
    """The map y = f x of the variates of one draw; `theta` are the rows that f needs.

    What the factors are made of is held from the first use on if `store`: the variates of normal
    noise, and 1 - z of logistic noise, in the precision of that use. Other precisions draw again.

    Each row is of float64 and repeated by period, or of one number that all elements share. Inputs
    are checked by the callers: arrays are contiguous, aligned, native, and of `size` elements;
    `code` is a dtype_t.
    """

    cdef noise_t noise
    cdef cnp.ndarray wide, narrow, held
    cdef bint store

    def __cinit__(self, uint64_t key, uint64_t draw, uint64_t offset, uint64_t size,
                  cnp.ndarray theta, bint logistic=False, double sharpness=1.0, bint store=False):
        cdef noise_t *noise = &self.noise
        cdef uint64_t period = <uint64_t>cnp.PyArray_DIM(theta, 1)
        memset(noise, 0, sizeof(noise_t))
        noise.key, noise.draw, noise.offset, noise.size = key, draw, offset, size
        noise.logistic, noise.sharpness, noise.source = logistic, sharpness, DRAW
        self.store = store
        noise.period = period if period > 1 else 0
        noise.stride = period + TILE if period > 1 else 32
        self.wide = np.stack([repeated(np.ascontiguousarray(row), noise.stride) for row in theta])
        largest = np.finfo(np.float32).max
        self.narrow = np.clip(self.wide, -largest, largest).astype(np.float32)
        noise.theta32 = <const float*>address(self.narrow)
        noise.theta64 = <const double*>address(self.wide)

    @property
    def nbytes(self):
        """Bytes that are held by now."""
        return 0 if self.held is None else cnp.PyArray_NBYTES(self.held)

    cdef cnp.ndarray ready(self, noise_t *noise, int code):
        """Say where the parts come from in one use; return what shall be held from it on."""
        cdef cnp.ndarray held
        with cython.critical_section(self):
            held = self.held
        kind = np.float64 if noise.logistic and code == FLOAT64 else np.float32
        if not self.store or held is not None and held.dtype != kind:
            return held
        noise.source = STORED
        if held is None:
            held = np.empty((noise.size + 31) // 32 * 32, kind)
            noise.source = DRAW_AND_STORE
        noise.held = address(held)
        return held

    cdef void keep(self, cnp.ndarray held) noexcept:
        """Hold this from now on, unless another thread was first."""
        with cython.critical_section(self):
            if self.held is None:
                self.held = held

    def apply(self, cnp.ndarray x, cnp.ndarray y, int code, int num_threads=0):
        """y = f x; `y` may be `x`."""
        cdef noise_t noise = self.noise
        cdef const void *source = address(x)
        cdef void *target = address(y)
        cdef cnp.ndarray held = self.ready(&noise, code)
        with nogil:
            launch(NOISE, code, source, target, &noise, noise.size, tiles(noise.size), num_threads)
        self.keep(held)

    def backward(self, cnp.ndarray dy, cnp.ndarray x, cnp.ndarray dx, cnp.ndarray totals, int code,
                 uint64_t columns, int num_threads=0):
        """dx = f dy; totals[chunk, column] += dy x df/dtheta, of float64 where x is, or float32."""
        cdef noise_t noise = self.noise
        cdef const void *source = address(dy)
        cdef void *target = address(dx)
        cdef cnp.ndarray held = self.ready(&noise, code)
        noise.x, noise.sums = address(x), sums_of(totals, noise.size, columns)
        with nogil:
            launch(NOISE_BACKWARD, code, source, target, &noise, noise.size, noise.sums.chunks,
                   num_threads)
        self.keep(held)

    def variates(self, int num_threads=0):
        """Return the standard variates, float32."""
        cdef cnp.ndarray y = np.empty(self.noise.size, np.float32)
        cdef void *target = address(y)
        with nogil:
            launch(VARIATES, ANY_DTYPE, NULL, target, &self.noise, self.noise.size,
                   tiles(self.noise.size), num_threads)
        return y
