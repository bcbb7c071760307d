/* What one row of a recurrent step reads and writes, of one float type; see recurrence.h. */
#ifndef CYDROPOUT_ROW_H
#define CYDROPOUT_ROW_H

#include <stdint.h>

enum { CYD_CELL_TANH, CYD_CELL_RELU, CYD_CELL_LSTM, CYD_CELL_GRU };

/* The keep-bits from bit `at` on; without them all is kept, or the mean taken with the share `scale`. */
typedef struct {
    const uint32_t *words;
    uint64_t at;
    double scale;
} cyd_choice_t;

typedef struct {
    int cell;
    uint64_t units;
    cyd_choice_t hidden, later, update, zone_h, zone_c;
    void *z, *inner, *h, *c, *next;
    const void *product, *bias, *inner_bias, *h_before, *c_before;
    const void *dy, *back;
    void *dz, *ds, *flow, *dh, *dc, *before;
} cyd_row_t;

#endif
