# cython: language_level=3, freethreading_compatible=True
"""A package of someone else's, that uses cydropout from C."""

cimport cydropout
from libc.stdint cimport uint32_t, uint64_t


def draw(uint64_t key, uint64_t draw, uint64_t offset, double rate, uint32_t[::1] bits,
         uint64_t size):
    with nogil:
        cydropout.draw_bits(key, draw, offset, size, rate, &bits[0], 2)


def apply(float[::1] x, const uint32_t[::1] bits, double scale, float[::1] y):
    with nogil:
        cydropout.apply_bits(&x[0], &bits[0], x.shape[0], cydropout.FLOAT32, scale, &y[0], 0)


def dropout(uint64_t key, uint64_t draw, uint64_t offset, double rate, double[::1] x):
    with nogil:
        cydropout.apply_dropout(key, draw, offset, rate, &x[0], x.shape[0], cydropout.FLOAT64,
                                &x[0], 1)


def keep_threshold(double rate):
    return cydropout.keep_threshold(rate)
