# Standout, ready to run over arrays.

include "settings.pxi"

cdef standout_t _gate(cnp.ndarray z, cnp.ndarray r, cnp.ndarray bits, int kind, double a,
                      double b):
    cdef standout_t s
    memset(&s, 0, sizeof(s))
    s.size, s.kind, s.a, s.b = <uint64_t>cnp.PyArray_SIZE(z), kind, a, b
    s.z, s.r, s.mean = address(z), address(r), bits is None
    s.bits = <uint32_t*>address_or_null(bits)
    return s


def standout(cnp.ndarray z, cnp.ndarray r, cnp.ndarray y, cnp.ndarray bits, draw, int code,
             int kind, double a, double b, int num_threads=0):
    """y = act(z) where kept, else 0; `draw` is (key, draw), or None where the bits are given.

    Without bits, y = sigmoid(a r + b) act(z).
    """
    cdef standout_t s = _gate(z, r, bits, kind, a, b)
    cdef const void *source = address(z)
    cdef void *target = address(y)
    if draw is not None:
        s.key, s.draw, s.drawn = draw[0], draw[1], True
    with nogil:
        launch(STANDOUT, code, source, target, &s, s.size, tiles(s.size), num_threads)


def standout_backward(cnp.ndarray dy, cnp.ndarray z, cnp.ndarray r, cnp.ndarray bits,
                      cnp.ndarray dz, cnp.ndarray dr, int code, int kind, double a, double b,
                      int num_threads=0):
    """dz and dr; without a dr, r is z and dz has both parts."""
    cdef standout_t s = _gate(z, r, bits, kind, a, b)
    cdef const void *source = address(dy)
    cdef void *target = address(dz)
    s.dr = address_or_null(dr)
    with nogil:
        launch(STANDOUT_BACKWARD, code, source, target, &s, s.size, tiles(s.size), num_threads)
