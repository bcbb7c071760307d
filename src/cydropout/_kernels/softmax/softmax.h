/* One row of softmax with dropout, and backward, for one float type; activations.h and reduce.h
 * come first.
 */

/* `count` elements of a row; `keep`, from its bit `bit` on, and `allow` have a bit for each, or are
 * NULL: what is not dropped, and what has a part in the softmax. */
typedef struct {
    uint64_t count;
    const uint32_t *keep, *allow;
    uint64_t bit;
    REAL scale, factor;
} NAME(cyd_row_);

CYD_INLINE REAL NAME(cyd_greatest_)(NAME(cyd_parts_) parts) {
#pragma GCC unroll 4
    for (int half = PARTS / 2; half; half /= 2) {
#pragma GCC unroll 4
        for (int i = 0; i < half; i++) parts.part[i] = GREATER(parts.part[i], parts.part[half + i]);
    }
    VECTOR v = parts.part[0];
#pragma GCC unroll 4
    for (int half = LANES / 2; half; half /= 2) v = GREATER(v, NAME(cyd_swap_)(v, half));
    return v[0];
}

/* The bits of the group at `at`, of which `left` elements are in the row. */
CYD_INLINE uint32_t NAME(cyd_group_)(const uint32_t *words, uint64_t bit, uint64_t left) {
    const int count = left < (uint64_t)GROUP ? (int)left : GROUP;
    return (words ? cyd_bits_at(words, bit, count) : UINT32_MAX) & (UINT32_MAX >> (32 - count));
}

/* What the passes over a row do to one group; `some` says whether `allow` is looked at. */

CYD_INLINE void NAME(cyd_max_)(NAME(cyd_parts_) *max, const REAL *x, REAL scale, uint32_t allow,
                               const int some) {
    for (int k = 0; k < GROUP; k += LANES) {
        VECTOR v;
        CYD_LOAD(v, x + k);
        v = v * scale;
        if (some) v = EITHER(v, -(REAL)__builtin_inf(), allow, k);
        max->part[k / LANES] = GREATER(v, max->part[k / LANES]);
    }
}

CYD_INLINE void NAME(cyd_powers_)(NAME(cyd_parts_) *sum, REAL *y, const REAL *x, REAL scale,
                                  REAL shift, uint32_t allow, const int some) {
    for (int k = 0; k < GROUP; k += LANES) {
        VECTOR v;
        CYD_LOAD(v, x + k);
        v = NAME(cyd_exp_down_)(v * scale - shift);
        if (some) v = KEEP(v, allow, k);
        sum->part[k / LANES] += v;
        CYD_STORE(y + k, v);
    }
}

CYD_INLINE void NAME(cyd_drop_)(REAL *y, const REAL *e, REAL factor, uint32_t keep) {
    for (int k = 0; k < GROUP; k += LANES) {
        VECTOR v;
        CYD_LOAD(v, e + k);
        v = KEEP(v * factor, keep, k);
        CYD_STORE(y + k, v);
    }
}

CYD_INLINE void NAME(cyd_dot_)(NAME(cyd_parts_) *dot, REAL *p, const REAL *dy, const REAL *x,
                               REAL scale, const REAL *statistics, REAL factor, uint32_t keep) {
    for (int k = 0; k < GROUP; k += LANES) {
        VECTOR v, g;
        CYD_LOAD(v, x + k);
        CYD_LOAD(g, dy + k);
        v = NAME(cyd_exp_down_)(v * scale - statistics[0]) * statistics[1];
        g = KEEP(v * (g * factor), keep, k);
        dot->part[k / LANES] += g;
        CYD_STORE(p + k, v);
    }
}

/* No gradient stays none, also of a NaN: what is wholly dropped has the gradient 0. */
CYD_INLINE void NAME(cyd_softmax_gradients_)(REAL *dx, const REAL *p, const REAL *dy, REAL scale, REAL factor,
                                  REAL dot, uint32_t keep, uint32_t allow, const int some) {
    for (int k = 0; k < GROUP; k += LANES) {
        VECTOR v, g;
        CYD_LOAD(v, p + k);
        CYD_LOAD(g, dy + k);
        g = KEEP(g * factor, keep, k) - dot;
        v = NAME(cyd_choose_)(g == 0, g, v * g * scale);
        if (some) v = KEEP(v, allow, k);
        CYD_STORE(dx + k, v);
    }
}

CYD_INLINE void NAME(cyd_softmax_row_)(REAL *y, const REAL *x, REAL *statistics,
                                       const NAME(cyd_row_) row, const int some) {
    const uint64_t left = row.count % GROUP, whole = row.count - left;
    const uint32_t rest = left ? NAME(cyd_group_)(some ? row.allow : NULL, whole, left) : 0;
    REAL last[GROUP];
    NAME(cyd_parts_) max, sum;
    for (int i = 0; i < PARTS; i++) {
        const VECTOR zero = {0};
        max.part[i] = zero - (REAL)__builtin_inf();
        sum.part[i] = zero;
    }
    for (uint64_t at = 0; at < whole; at += GROUP) {
        NAME(cyd_max_)(&max, x + at, row.scale,
                       NAME(cyd_group_)(some ? row.allow : NULL, at, GROUP), some);
    }
    if (left) {
        cyd_take_part(last, x + whole, left * sizeof(REAL));
        NAME(cyd_max_)(&max, last, row.scale, rest, 1);
    }
    const REAL top = NAME(cyd_greatest_)(max), shift = top == -(REAL)__builtin_inf() ? 0 : top;
    for (uint64_t at = 0; at < whole; at += GROUP) {
        NAME(cyd_powers_)(&sum, y + at, x + at, row.scale, shift,
                          NAME(cyd_group_)(some ? row.allow : NULL, at, GROUP), some);
    }
    if (left) NAME(cyd_powers_)(&sum, last, last, row.scale, shift, rest, 1);
    const REAL total = NAME(cyd_total_)(sum), inverse = total == 0 ? 0 : 1 / total;
    const REAL factor = row.factor * inverse;
    statistics[0] = shift;
    statistics[1] = inverse;
    for (uint64_t at = 0; at < whole; at += GROUP) {
        NAME(cyd_drop_)(y + at, y + at, factor,
                        NAME(cyd_group_)(row.keep, row.bit + at, GROUP) &
                            NAME(cyd_group_)(some ? row.allow : NULL, at, GROUP));
    }
    if (left) {
        NAME(cyd_drop_)(last, last, factor,
                        NAME(cyd_group_)(row.keep, row.bit + whole, left) & rest);
        cyd_put_part(y + whole, last, left * sizeof(REAL));
    }
}

CYD_INLINE void NAME(cyd_softmax_back_row_)(REAL *dx, const REAL *dy, const REAL *x,
                                             const REAL *statistics, const NAME(cyd_row_) row,
                                             const int some) {
    const uint64_t left = row.count % GROUP, whole = row.count - left;
    REAL last_x[GROUP], last_dy[GROUP];
    uint32_t allow, keep;
    NAME(cyd_parts_) parts = {0};
    for (uint64_t at = 0; at < whole; at += GROUP) {
        allow = NAME(cyd_group_)(some ? row.allow : NULL, at, GROUP);
        keep = NAME(cyd_group_)(row.keep, row.bit + at, GROUP);
        NAME(cyd_dot_)(&parts, dx + at, dy + at, x + at, row.scale, statistics, row.factor,
                       keep & allow);
    }
    if (left) {
        cyd_take_part(last_x, x + whole, left * sizeof(REAL));
        cyd_take_part(last_dy, dy + whole, left * sizeof(REAL));
        allow = NAME(cyd_group_)(some ? row.allow : NULL, whole, left);
        keep = NAME(cyd_group_)(row.keep, row.bit + whole, left);
        NAME(cyd_dot_)(&parts, last_x, last_dy, last_x, row.scale, statistics, row.factor,
                       keep & allow);
    }
    const REAL dot = NAME(cyd_total_)(parts);
    for (uint64_t at = 0; at < whole; at += GROUP) {
        NAME(cyd_softmax_gradients_)(dx + at, dx + at, dy + at, row.scale, row.factor, dot,
                          NAME(cyd_group_)(row.keep, row.bit + at, GROUP),
                          NAME(cyd_group_)(some ? row.allow : NULL, at, GROUP), some);
    }
    if (left) {
        NAME(cyd_softmax_gradients_)(last_x, last_x, last_dy, row.scale, row.factor, dot, keep, allow, 1);
        cyd_put_part(dx + whole, last_x, left * sizeof(REAL));
    }
}

/* y = factor * p where kept, else 0, with p the softmax of scale * x over what is allowed, and
 * statistics = m, the greatest of scale * x, and 1 / sum(exp(scale * x - m)). A row of which nothing is
 * allowed, or all of it is -inf, has 0 for both and gives zeros. y may be x. */
static void NAME(cyd_softmax_)(REAL *y, const REAL *x, REAL *statistics, uint64_t count,
                               const uint32_t *keep, uint64_t bit, const uint32_t *allow,
                               REAL scale, REAL factor) {
    const NAME(cyd_row_) row = {count, keep, allow, bit, scale, factor};
    if (allow) NAME(cyd_softmax_row_)(y, x, statistics, row, 1);
    else NAME(cyd_softmax_row_)(y, x, statistics, row, 0);
}

/* dx = scale * p * (g - sum(p * g)) where allowed, else 0, with g = factor * dy where kept, else 0. */
static void NAME(cyd_softmax_back_)(REAL *dx, const REAL *dy, const REAL *x,
                                     const REAL *statistics, uint64_t count, const uint32_t *keep,
                                     uint64_t bit, const uint32_t *allow, REAL scale,
                                     REAL factor) {
    const NAME(cyd_row_) row = {count, keep, allow, bit, scale, factor};
    if (allow) NAME(cyd_softmax_back_row_)(dx, dy, x, statistics, row, 1);
    else NAME(cyd_softmax_back_row_)(dx, dy, x, statistics, row, 0);
}

#define cyd_softmax(y, ...) CYD_REAL(cyd_softmax, y)(y, __VA_ARGS__)
#define cyd_softmax_back(y, ...) CYD_REAL(cyd_softmax_back, y)(y, __VA_ARGS__)
