# Gaussian noise over the elements of one draw, ready to run over arrays.

cdef class Noise:
    """The map y = (1 + sigma n) x; `sigma` is a float, or a float32 array repeated by period.

    Inputs are checked by the callers: arrays are contiguous, aligned, native, and of `size`
    elements; `code` is a dtype_t.
    """

    cdef noise_t noise
    cdef cnp.ndarray sigma

    def __cinit__(self, uint64_t key, uint64_t draw, uint64_t offset, uint64_t size, sigma):
        cdef noise_t *noise = &self.noise
        noise.key, noise.draw, noise.offset, noise.size = key, draw, offset, size
        noise.period = 0
        if isinstance(sigma, np.ndarray):
            noise.period = <uint64_t>sigma.size
            self.sigma = repeated(np.ascontiguousarray(sigma, np.float32), noise.period + 64)
        else:
            self.sigma = np.full(64, sigma, np.float32)
        noise.sigma = <const float*>cnp.PyArray_DATA(self.sigma)

    def apply(self, cnp.ndarray x, cnp.ndarray y, int code, int num_threads=0):
        """y = (1 + sigma n) x; `y` may be `x`."""
        self.run(cnp.PyArray_DATA(x), cnp.PyArray_DATA(y), code, num_threads)

    def values(self, int num_threads=0):
        """Return the factors 1 + sigma n, float32."""
        cdef cnp.ndarray y = np.empty(self.noise.size, np.float32)
        self.run(NULL, cnp.PyArray_DATA(y), FLOAT32, num_threads)
        return y

    cdef void run(self, const void *x, void *y, int code, int num_threads):
        with nogil:
            run(table.noise[code], x, y, &self.noise, self.noise.size, tiles(self.noise.size),
                num_threads)
