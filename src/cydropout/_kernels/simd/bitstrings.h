/* Long strings of bits in 32-bit words, bit i being bit i % 32 of word i // 32. */
#ifndef CYDROPOUT_BITSTRINGS_H
#define CYDROPOUT_BITSTRINGS_H

#include "simd/vectors.h"

/* words |= words moved up by `shift` bits, in place: from the top, so that what is read is old. */
static void cyd_spread(uint32_t *words, uint64_t count, uint64_t shift) {
    const uint64_t far = shift / 32;
    const int up = (int)(shift % 32);
    uint64_t w = count;
    while (w >= far + 1 + CYD_L32) {
        cyd_u32v to, from, below;
        w -= CYD_L32;
        CYD_LOAD(to, words + w);
        CYD_LOAD(from, words + w - far);
        CYD_LOAD(below, words + w - far - 1);
        to |= (from << up) | ((below >> 1) >> (31 - up)); /* a shift by 32 is not defined */
        CYD_STORE(words + w, to);
    }
    while (w > far + 1) {
        w--;
        words[w] |= (words[w - far] << up) | ((words[w - far - 1] >> 1) >> (31 - up));
    }
    if (w == far + 1) words[far] |= words[0] << up;
}

/* A word of the lowest bits, each `times` times: 1, 2, 4, 8, 16 or 32. */
CYD_INLINE uint32_t cyd_repeat_bits(uint32_t bits, uint64_t times) {
    switch (times) {
    case 1: return bits;
    case 2:
        bits &= 0xffff;
        bits = (bits | bits << 8) & 0x00ff00ff;
        bits = (bits | bits << 4) & 0x0f0f0f0f;
        bits = (bits | bits << 2) & 0x33333333;
        return ((bits | bits << 1) & 0x55555555) * 0x3;
    case 4:
        bits &= 0xff;
        bits = (bits | bits << 12) & 0x000f000f;
        bits = (bits | bits << 6) & 0x03030303;
        return ((bits | bits << 3) & 0x11111111) * 0xf;
    case 8:
        bits &= 0xf;
        bits = (bits | bits << 14) & 0x00030003;
        return ((bits | bits << 7) & 0x01010101) * 0xff;
    case 16: return (bits & 1) * 0xffff | (bits >> 1 & 1) * 0xffff0000;
    default: return 0 - (bits & 1);
    }
}

/* How many bits of each 32-bit lane are set. */
CYD_INLINE cyd_u32v cyd_ones(cyd_u32v v) {
    v -= (v >> 1) & 0x55555555;
    v = (v & 0x33333333) + ((v >> 2) & 0x33333333);
    v = (v + (v >> 4)) & 0x0f0f0f0f;
    v += v >> 8;
    return (v + (v >> 16)) & 0x3f;
}

/* How many of the `count` bits from bit `at` on are set. */
static uint64_t cyd_count(const uint32_t *words, uint64_t at, uint64_t count) {
    const uint64_t first = at / 32, last = (at + count) / 32; /* the words that hold the ends */
    const uint32_t below = ((uint32_t)1 << (at % 32)) - 1;
    const uint32_t above = ((uint32_t)1 << ((at + count) % 32)) - 1;
    cyd_u32v total = {0};
    uint64_t sum = 0, w = first;
    if (!count) return 0;
    for (; w + CYD_L32 <= last; w += CYD_L32) {
        cyd_u32v v;
        CYD_LOAD(v, words + w);
        total += cyd_ones(v);
    }
    for (int i = 0; i < CYD_L32; i++) sum += total[i];
    for (; w < last; w++) sum += __builtin_popcount(words[w]);
    if (above) sum += __builtin_popcount(words[last] & above);
    return below ? sum - __builtin_popcount(words[first] & below) : sum;
}

#endif
