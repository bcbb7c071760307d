/* Sums over a row of one float type, the same to the bit for vectors of any width.
 *
 * A row is taken in groups of 64 bytes. Element i of the row is added to part i % GROUP of a sum, and
 * the parts in a fixed order, however many of them a vector holds: so all builds agree to the bit.
 */

#define GROUP (64 / (int)sizeof(REAL))
#define PARTS (GROUP / LANES)

typedef struct {
    VECTOR part[PARTS];
} NAME(cyd_parts_);

/* Lane i of the result is lane i ^ apart. */
CYD_INLINE VECTOR NAME(cyd_swap_)(VECTOR v, const int apart) {
    VECTOR w = v;
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) w[i] = v[i ^ apart];
    return w;
}

CYD_INLINE REAL NAME(cyd_total_)(NAME(cyd_parts_) parts) {
#pragma GCC unroll 4
    for (int half = PARTS / 2; half; half /= 2) {
#pragma GCC unroll 4
        for (int i = 0; i < half; i++) parts.part[i] += parts.part[half + i];
    }
    VECTOR v = parts.part[0];
#pragma GCC unroll 4
    for (int half = LANES / 2; half; half /= 2) v += NAME(cyd_swap_)(v, half);
    return v[0];
}
