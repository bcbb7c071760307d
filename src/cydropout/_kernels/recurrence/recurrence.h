/* One step of a recurrent cell over one row of units, for one float type; activations.h comes first.
 *
 * Included twice, as activations.h is. The gates stand one after the other, each of `units` elements, in
 * the order of PyTorch: i f g o of an LSTM, r z n of a GRU.
 */

CYD_INLINE VECTOR NAME(cyd_read_)(const void *p, uint64_t at, const int count) {
    VECTOR v = {0};
    if (count == LANES) {
        CYD_LOAD(v, (const REAL *)p + at);
        CYD_WHOLE(v);
    } else {
        memcpy(&v, (const REAL *)p + at, count * sizeof(REAL));
    }
    return v;
}

CYD_INLINE void NAME(cyd_write_)(void *p, uint64_t at, VECTOR v, const int count) {
    memcpy((REAL *)p + at, &v, count == LANES ? sizeof(v) : count * sizeof(REAL));
}

CYD_INLINE uint32_t NAME(cyd_row_bits_)(const cyd_choice_t *m, uint64_t k, const int count) {
    return cyd_bits_at(m->words, m->at + k, count);
}

/* scale * v where kept, else 0. */
CYD_INLINE VECTOR NAME(cyd_masked_)(const cyd_choice_t *m, VECTOR v, uint64_t k, const int count) {
    if (!m->words) return v;
    return KEEP(v * (REAL)m->scale, NAME(cyd_row_bits_)(m, k, count), 0);
}

/* `yes` where kept, else `no`; without bits the mean, in which a weight of 0 lets nothing enter. */
CYD_INLINE VECTOR NAME(cyd_zoned_)(const cyd_choice_t *m, VECTOR yes, VECTOR no, uint64_t k,
                                   const int count) {
    const REAL share = (REAL)m->scale;
    if (m->words) {
        const uint32_t bits = NAME(cyd_row_bits_)(m, k, count);
        return (VECTOR)((NAME(cyd_int_))KEEP(yes, bits, 0) | (NAME(cyd_int_))KEEP(no, ~bits, 0));
    }
    if (share == 1) return yes;
    if (share == 0) return no;
    return share * yes + (1 - share) * no;
}

/* Backward: what of `dy` goes to the one and to the other. */
CYD_INLINE VECTOR NAME(cyd_unzoned_)(const cyd_choice_t *m, VECTOR dy, VECTOR *dno, uint64_t k,
                                     const int count) {
    const VECTOR zero = {0};
    *dno = NAME(cyd_zoned_)(m, zero, dy, k, count);
    return NAME(cyd_zoned_)(m, dy, zero, k, count);
}

CYD_INLINE VECTOR NAME(cyd_before_)(const cyd_row_t *r, uint64_t at, const int count) {
    return (NAME(cyd_read_)(r->z, at, count) + NAME(cyd_read_)(r->product, at, count)) +
           NAME(cyd_read_)(r->bias, at, count);
}

CYD_INLINE VECTOR NAME(cyd_lstm_)(const cyd_row_t *r, uint64_t k, const int count) {
    const uint64_t n = r->units;
    const VECTOR i = NAME(cyd_sigmoid_)(NAME(cyd_before_)(r, k, count));
    const VECTOR f = NAME(cyd_sigmoid_)(NAME(cyd_before_)(r, n + k, count));
    const VECTOR g = NAME(cyd_tanh_)(NAME(cyd_before_)(r, 2 * n + k, count));
    const VECTOR o = NAME(cyd_sigmoid_)(NAME(cyd_before_)(r, 3 * n + k, count));
    const VECTOR old = NAME(cyd_read_)(r->c_before, k, count);
    const VECTOR c = f * old + i * NAME(cyd_masked_)(&r->update, g, k, count);
    NAME(cyd_write_)(r->z, k, i, count);
    NAME(cyd_write_)(r->z, n + k, f, count);
    NAME(cyd_write_)(r->z, 2 * n + k, g, count);
    NAME(cyd_write_)(r->z, 3 * n + k, o, count);
    NAME(cyd_write_)(r->c, k, NAME(cyd_zoned_)(&r->zone_c, c, old, k, count), count);
    return o * NAME(cyd_tanh_)(c);
}

CYD_INLINE VECTOR NAME(cyd_gru_)(const cyd_row_t *r, uint64_t k, const int count) {
    const uint64_t n = r->units;
    const VECTOR reset = NAME(cyd_sigmoid_)(NAME(cyd_before_)(r, k, count));
    const VECTOR z = NAME(cyd_sigmoid_)(NAME(cyd_before_)(r, n + k, count));
    const VECTOR inner = NAME(cyd_read_)(r->product, 2 * n + k, count) +
                         NAME(cyd_read_)(r->inner_bias, k, count);
    const VECTOR outer = NAME(cyd_read_)(r->z, 2 * n + k, count) +
                         NAME(cyd_read_)(r->bias, 2 * n + k, count);
    const VECTOR c = NAME(cyd_tanh_)(outer + reset * inner);
    NAME(cyd_write_)(r->z, k, reset, count);
    NAME(cyd_write_)(r->z, n + k, z, count);
    NAME(cyd_write_)(r->z, 2 * n + k, c, count);
    NAME(cyd_write_)(r->inner, k, inner, count);
    return (1 - z) * NAME(cyd_masked_)(&r->update, c, k, count) +
           z * NAME(cyd_read_)(r->h_before, k, count);
}

CYD_INLINE VECTOR NAME(cyd_plain_)(const cyd_row_t *r, uint64_t k, const int count) {
    const VECTOR before = NAME(cyd_before_)(r, k, count);
    const VECTOR h = NAME(cyd_activate_)(before, r->cell == CYD_CELL_RELU ? CYD_RELU : CYD_TANH, 1);
    NAME(cyd_write_)(r->z, k, h, count);
    return h;
}

/* The gates take the place of z; h and c are the new states, `next` what enters the next product. */
CYD_INLINE void NAME(cyd_cell_lanes_)(const cyd_row_t *r, uint64_t k, const int count,
                                      const int cell) {
    VECTOR h;
    if (cell == CYD_CELL_LSTM) h = NAME(cyd_lstm_)(r, k, count);
    else if (cell == CYD_CELL_GRU) h = NAME(cyd_gru_)(r, k, count);
    else h = NAME(cyd_plain_)(r, k, count);
    h = NAME(cyd_zoned_)(&r->zone_h, h, NAME(cyd_read_)(r->h_before, k, count), k, count);
    NAME(cyd_write_)(r->h, k, h, count);
    NAME(cyd_write_)(r->next, k, NAME(cyd_masked_)(&r->later, h, k, count), count);
}

CYD_INLINE void NAME(cyd_lstm_back_)(const cyd_row_t *r, VECTOR dh, uint64_t k, const int count) {
    const uint64_t n = r->units;
    const VECTOR i = NAME(cyd_read_)(r->z, k, count), f = NAME(cyd_read_)(r->z, n + k, count);
    const VECTOR g = NAME(cyd_read_)(r->z, 2 * n + k, count);
    const VECTOR o = NAME(cyd_read_)(r->z, 3 * n + k, count);
    const VECTOR old = NAME(cyd_read_)(r->c_before, k, count);
    const VECTOR kept = NAME(cyd_masked_)(&r->update, g, k, count);
    const VECTOR t = NAME(cyd_tanh_)(f * old + i * kept);
    VECTOR dold, dc = NAME(cyd_read_)(r->dc, k, count);
    dc = NAME(cyd_unzoned_)(&r->zone_c, dc, &dold, k, count) + dh * o * (1 - t * t);
    const VECTOR dg = NAME(cyd_masked_)(&r->update, dc * i, k, count) * (1 - g * g);
    const VECTOR parts[] = {
        dc * kept * (i * (1 - i)), dc * old * (f * (1 - f)), dg, dh * t * (o * (1 - o))
    };
    for (int gate = 0; gate < 4; gate++) {
        NAME(cyd_write_)(r->dz, gate * n + k, parts[gate], count);
        NAME(cyd_write_)(r->flow, gate * n + k, parts[gate], count);
    }
    NAME(cyd_write_)(r->dc, k, dold + dc * f, count);
}

CYD_INLINE VECTOR NAME(cyd_gru_back_)(const cyd_row_t *r, VECTOR dh, VECTOR old, uint64_t k,
                                      const int count) {
    const uint64_t n = r->units;
    const VECTOR reset = NAME(cyd_read_)(r->z, k, count), z = NAME(cyd_read_)(r->z, n + k, count);
    const VECTOR c = NAME(cyd_read_)(r->z, 2 * n + k, count);
    const VECTOR kept = NAME(cyd_masked_)(&r->update, c, k, count);
    const VECTOR dc = NAME(cyd_masked_)(&r->update, dh * (1 - z), k, count) * (1 - c * c);
    const VECTOR parts[] = {
        dc * NAME(cyd_read_)(r->inner, k, count) * (reset * (1 - reset)),
        dh * (old - kept) * (z * (1 - z)), dc * reset
    };
    for (int gate = 0; gate < 3; gate++) {
        NAME(cyd_write_)(r->dz, gate * n + k, gate == 2 ? dc : parts[gate], count);
        NAME(cyd_write_)(r->ds, gate * n + k, parts[gate], count);
        NAME(cyd_write_)(r->flow, gate * n + k, parts[gate], count);
    }
    return dh * z;
}

CYD_INLINE void NAME(cyd_plain_back_)(const cyd_row_t *r, VECTOR dh, uint64_t k, const int count) {
    const VECTOR h = NAME(cyd_read_)(r->z, k, count), zero = {0};
    dh = r->cell == CYD_CELL_RELU ? NAME(cyd_choose_)(h <= zero, zero, dh) : dh * (1 - h * h);
    NAME(cyd_write_)(r->dz, k, dh, count);
    NAME(cyd_write_)(r->flow, k, dh, count);
}

/* dh holds what the later step sent past its product, `back` what came out of it. */
CYD_INLINE void NAME(cyd_cell_back_lanes_)(const cyd_row_t *r, uint64_t k, const int count,
                                           const int cell) {
    const VECTOR old = NAME(cyd_read_)(r->h_before, k, count);
    VECTOR dold, dh = NAME(cyd_read_)(r->back, k, count);
    dh = NAME(cyd_masked_)(&r->later, dh, k, count) + NAME(cyd_read_)(r->dh, k, count);
    if (r->dy) dh = dh + NAME(cyd_read_)(r->dy, k, count);
    dh = NAME(cyd_unzoned_)(&r->zone_h, dh, &dold, k, count);
    if (cell == CYD_CELL_LSTM) NAME(cyd_lstm_back_)(r, dh, k, count);
    else if (cell == CYD_CELL_GRU) dold = dold + NAME(cyd_gru_back_)(r, dh, old, k, count);
    else NAME(cyd_plain_back_)(r, dh, k, count);
    NAME(cyd_write_)(r->dh, k, dold, count);
    NAME(cyd_write_)(r->before, k, NAME(cyd_masked_)(&r->hidden, old, k, count), count);
}

#define CYD_CELL_ROW(lanes, r, cell)                                                             \
    for (uint64_t k = 0; k < (r)->units; k += LANES) {                                           \
        if (k + LANES <= (r)->units) lanes(r, k, LANES, cell);                                   \
        else lanes(r, k, (int)((r)->units - k), cell);                                           \
    }

static void NAME(cyd_cell_row_)(const cyd_row_t *r) {
    switch (r->cell) {
    case CYD_CELL_LSTM: CYD_CELL_ROW(NAME(cyd_cell_lanes_), r, CYD_CELL_LSTM) break;
    case CYD_CELL_GRU: CYD_CELL_ROW(NAME(cyd_cell_lanes_), r, CYD_CELL_GRU) break;
    default: CYD_CELL_ROW(NAME(cyd_cell_lanes_), r, CYD_CELL_TANH)
    }
}

static void NAME(cyd_cell_back_row_)(const cyd_row_t *r) {
    switch (r->cell) {
    case CYD_CELL_LSTM: CYD_CELL_ROW(NAME(cyd_cell_back_lanes_), r, CYD_CELL_LSTM) break;
    case CYD_CELL_GRU: CYD_CELL_ROW(NAME(cyd_cell_back_lanes_), r, CYD_CELL_GRU) break;
    default: CYD_CELL_ROW(NAME(cyd_cell_back_lanes_), r, CYD_CELL_TANH)
    }
}
#undef CYD_CELL_ROW

#define cyd_cell_row(of, r) CYD_REAL(cyd_cell_row, of)(r)
#define cyd_cell_back_row(of, r) CYD_REAL(cyd_cell_back_row, of)(r)
