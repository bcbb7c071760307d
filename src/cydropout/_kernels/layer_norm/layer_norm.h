/* One row of layer normalization, and backward, for one float type; reduce.h comes first.
 *
 * The rows of the parameters and of their sums have whole groups; those of the data may end within
 * one, which is then taken and put in part.
 */

CYD_INLINE void NAME(cyd_add_up_)(NAME(cyd_parts_) *sum, const REAL *x) {
    for (int k = 0; k < GROUP; k += LANES) {
        VECTOR v;
        CYD_LOAD(v, x + k);
        sum->part[k / LANES] += v;
    }
}

CYD_INLINE void NAME(cyd_squares_)(NAME(cyd_parts_) *sum, const REAL *x, REAL mean, uint32_t inside) {
    for (int k = 0; k < GROUP; k += LANES) {
        VECTOR v;
        CYD_LOAD(v, x + k);
        v = KEEP(v - mean, inside, k);
        sum->part[k / LANES] += v * v;
    }
}

CYD_INLINE void NAME(cyd_standard_)(REAL *y, const REAL *x, REAL mean, REAL scale,
                                    const REAL *weight, const REAL *bias) {
    for (int k = 0; k < GROUP; k += LANES) {
        VECTOR v, w, b;
        CYD_LOAD(v, x + k);
        CYD_LOAD(w, weight + k);
        CYD_LOAD(b, bias + k);
        v = (v - mean) * scale * w + b;
        CYD_STORE(y + k, v);
    }
}

/* y = (x - mean) / sqrt(variance + epsilon) * weight + bias, and statistics = mean and
 * 1 / sqrt(variance + epsilon), over the `count` elements of a row. y may be x. */
static void NAME(cyd_layer_norm_)(REAL *y, const REAL *x, REAL *statistics, const REAL *weight,
                                  const REAL *bias, uint64_t count, REAL epsilon) {
    const uint64_t left = count % GROUP, whole = count - left;
    REAL last[GROUP];
    NAME(cyd_parts_) sum = {0}, squares = {0};
    for (uint64_t at = 0; at < whole; at += GROUP) NAME(cyd_add_up_)(&sum, x + at);
    if (left) {
        cyd_take_part(last, x + whole, left * sizeof(REAL));
        NAME(cyd_add_up_)(&sum, last);
    }
    const REAL mean = NAME(cyd_total_)(sum) / (REAL)count;
    for (uint64_t at = 0; at < whole; at += GROUP) {
        NAME(cyd_squares_)(&squares, x + at, mean, UINT32_MAX);
    }
    if (left) NAME(cyd_squares_)(&squares, last, mean, UINT32_MAX >> (32 - left));
    const REAL scale = 1 / SQRT(NAME(cyd_total_)(squares) / (REAL)count + epsilon);
    statistics[0] = mean;
    statistics[1] = scale;
    for (uint64_t at = 0; at < whole; at += GROUP) {
        NAME(cyd_standard_)(y + at, x + at, mean, scale, weight + at, bias + at);
    }
    if (left) {
        NAME(cyd_standard_)(last, last, mean, scale, weight + whole, bias + whole);
        cyd_put_part(y + whole, last, left * sizeof(REAL));
    }
}

/* Adds dy z and dy to the sums of the parameters, g and g z to those of the row: z is the row
 * without weight and bias, g = weight dy its gradient. */
CYD_INLINE void NAME(cyd_norm_sums_)(NAME(cyd_parts_) *sum, NAME(cyd_parts_) *dot, REAL *dweight,
                                     REAL *dbias, const REAL *dy, const REAL *x, REAL mean,
                                     REAL scale, const REAL *weight) {
    for (int k = 0; k < GROUP; k += LANES) {
        VECTOR v, g, w, dw, db;
        CYD_LOAD(v, x + k);
        CYD_LOAD(g, dy + k);
        CYD_LOAD(w, weight + k);
        CYD_LOAD(dw, dweight + k);
        CYD_LOAD(db, dbias + k);
        v = (v - mean) * scale;
        dw += g * v;
        db += g;
        g = g * w;
        sum->part[k / LANES] += g;
        dot->part[k / LANES] += g * v;
        CYD_STORE(dweight + k, dw);
        CYD_STORE(dbias + k, db);
    }
}

CYD_INLINE void NAME(cyd_norm_gradients_)(REAL *dx, const REAL *dy, const REAL *x, REAL mean,
                                       REAL scale, const REAL *weight, REAL level, REAL along) {
    for (int k = 0; k < GROUP; k += LANES) {
        VECTOR v, g, w;
        CYD_LOAD(v, x + k);
        CYD_LOAD(g, dy + k);
        CYD_LOAD(w, weight + k);
        v = (v - mean) * scale;
        v = (g * w - level - v * along) * scale;
        CYD_STORE(dx + k, v);
    }
}

/* dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon) with z the row without weight and bias
 * and g = weight dy; dweight += dy z and dbias += dy. dx may be dy. */
static void NAME(cyd_layer_norm_back_)(REAL *dx, REAL *dweight, REAL *dbias, const REAL *dy,
                                       const REAL *x, const REAL *statistics, const REAL *weight,
                                       uint64_t count) {
    const uint64_t left = count % GROUP, whole = count - left;
    const REAL mean = statistics[0], scale = statistics[1];
    REAL last_x[GROUP], last_dy[GROUP];
    NAME(cyd_parts_) sum = {0}, dot = {0};
    for (uint64_t at = 0; at < whole; at += GROUP) {
        NAME(cyd_norm_sums_)(&sum, &dot, dweight + at, dbias + at, dy + at, x + at, mean, scale,
                             weight + at);
    }
    if (left) {
        cyd_take_part(last_x, x + whole, left * sizeof(REAL));
        cyd_take_part(last_dy, dy + whole, left * sizeof(REAL));
        NAME(cyd_norm_sums_)(&sum, &dot, dweight + whole, dbias + whole, last_dy, last_x, mean,
                             scale, weight + whole);
    }
    const REAL level = NAME(cyd_total_)(sum) / (REAL)count;
    const REAL along = NAME(cyd_total_)(dot) / (REAL)count;
    for (uint64_t at = 0; at < whole; at += GROUP) {
        NAME(cyd_norm_gradients_)(dx + at, dy + at, x + at, mean, scale, weight + at, level, along);
    }
    if (left) {
        NAME(cyd_norm_gradients_)(last_dy, last_dy, last_x, mean, scale, weight + whole, level,
                                along);
        cyd_put_part(dx + whole, last_dy, left * sizeof(REAL));
    }
}

#define cyd_layer_norm(y, ...) CYD_REAL(cyd_layer_norm, y)(y, __VA_ARGS__)
#define cyd_layer_norm_back(y, ...) CYD_REAL(cyd_layer_norm_back, y)(y, __VA_ARGS__)
