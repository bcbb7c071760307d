/* What a product by a panel is told, for either float type: see panels.h. */
#ifndef CYDROPOUT_PANEL_H
#define CYDROPOUT_PANEL_H

#include <stdint.h>

typedef struct {
    uint64_t c_row;     /* from one row of the result to the next */
    uint64_t a_row;
    uint64_t a_block;
    uint64_t a_segment;
    uint64_t a_term;
    uint64_t b_block;
    uint64_t b_segment;
    uint64_t b_term;
    uint64_t blocks;
    uint64_t segments;  /* of each block */
    uint64_t terms;     /* of each segment */
    uint64_t columns;   /* of the panel that there are in the result */
    int more;           /* the sums begin with what the result holds */
} cyd_panel_t;

#endif
