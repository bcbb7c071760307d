/* Standout: an activation kept with a probability of its own, for one float type; noise.h comes first.
 *
 * Included twice, as activations.h is.
 */

/* With k = sigmoid(a r + b): what is kept has bits, or all is multiplied by the mean of those, k. */
typedef struct {
    const REAL *r;
    REAL a, b;
    uint32_t *bits;        /* a word for each 32 elements */
    const uint32_t *draws; /* a random number for each element, or NULL: the bits are there */
    uint64_t count;        /* of words */
    int mean, tied;
} NAME(cyd_gate_);

CYD_INLINE VECTOR NAME(cyd_chance_)(const NAME(cyd_gate_) *gate, uint64_t at) {
    VECTOR r;
    CYD_LOAD(r, gate->r + at);
    return NAME(cyd_sigmoid_)(gate->a * r + gate->b);
}

/* Whether a number u below 2**32 is below 2**32 k, exactly, in doubles; a k that is NaN keeps. */
CYD_INLINE uint32_t NAME(cyd_below_)(const uint32_t *u, const REAL *k) {
    uint32_t bits = 0;
    for (int i = 0; i < 32; i += CYD_L64) {
        const cyd_f64v number = cyd_f64_from_u32(u + i);
        cyd_f64v chance;
        LOAD_F64(chance, k + i);
        bits |= cyd_bits_f64v(~(number >= chance * 0x1p32)) << i;
    }
    return bits;
}

CYD_INLINE void NAME(cyd_standout_words_)(REAL *y, const REAL *z, const NAME(cyd_gate_) gate,
                                          const int kind) {
    for (uint64_t word = 0; word < gate.count; word++) {
        REAL chances[32];
        if (gate.mean || gate.draws) {
            for (int k = 0; k < 32; k += LANES) {
                const VECTOR chance = NAME(cyd_chance_)(&gate, 32 * word + k);
                CYD_STORE(chances + k, chance);
            }
        }
        if (gate.draws) gate.bits[word] = NAME(cyd_below_)(gate.draws + 32 * word, chances);
        for (int k = 0; k < 32; k += LANES) {
            VECTOR v, chance;
            CYD_LOAD(v, z + 32 * word + k);
            v = NAME(cyd_activate_)(v, kind, 1);
            if (gate.mean) {
                CYD_LOAD(chance, chances + k);
                v = v * chance;
            } else {
                v = KEEP(v, gate.bits[word], k);
            }
            CYD_STORE(y + 32 * word + k, v);
        }
    }
}

CYD_INLINE void NAME(cyd_standout_back_words_)(REAL *dz, REAL *dr, const REAL *dy, const REAL *z,
                                               const NAME(cyd_gate_) gate, const int kind) {
    for (uint64_t word = 0; word < gate.count; word++) {
        for (int k = 0; k < 32; k += LANES) {
            VECTOR g, v;
            CYD_LOAD(g, dy + 32 * word + k);
            CYD_LOAD(v, z + 32 * word + k);
            const VECTOR chance = NAME(cyd_chance_)(&gate, 32 * word + k);
            const VECTOR rate = g * NAME(cyd_activate_)(v, kind, 1) * (chance * (1 - chance)) * gate.a;
            /* No gradient stays none, also where the derivative is NaN. */
            g = NAME(cyd_choose_)(g == 0, g, g * NAME(cyd_derivative_)(v, kind, 1));
            g = gate.mean ? g * chance : KEEP(g, gate.bits[word], k);
            if (gate.tied) {
                g = g + rate;
            } else {
                CYD_STORE(dr + 32 * word + k, rate);
            }
            CYD_STORE(dz + 32 * word + k, g);
        }
    }
}

/* y = act(z) where kept, else 0; of the mean, k act(z). */
static void NAME(cyd_standout_)(REAL *y, const REAL *z, const REAL *r, double a, double b,
                                uint32_t *bits, const uint32_t *draws, uint64_t count, int mean,
                                int kind) {
    const NAME(cyd_gate_) gate = {r, (REAL)a, (REAL)b, bits, draws, count, mean, 0};
    CYD_EACH_KIND(NAME(cyd_standout_words_), y, z, gate)
}

/* dr = a dy act(z) k (1 - k), as if k stood where the decision does, and dz = dy act'(z) where kept,
 * else 0; of the mean, k dy act'(z). Where dr is NULL, r is z, and dz has both. */
static void NAME(cyd_standout_back_)(REAL *dz, REAL *dr, const REAL *dy, const REAL *z,
                                     const REAL *r, double a, double b, uint32_t *bits,
                                     uint64_t count, int mean, int kind) {
    const NAME(cyd_gate_) gate = {r, (REAL)a, (REAL)b, bits, 0, count, mean, dr == 0};
    CYD_EACH_KIND(NAME(cyd_standout_back_words_), dz, dr, dy, z, gate)
}

#define cyd_standout(y, ...) CYD_REAL(cyd_standout, y)(y, __VA_ARGS__)
#define cyd_standout_back(y, ...) CYD_REAL(cyd_standout_back, y)(y, __VA_ARGS__)
