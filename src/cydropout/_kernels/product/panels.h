/* Products of a few rows by a panel, 128 bytes of columns side by side, for one float type.
 *
 * Each number is a sum in the order of its terms, so that it is the same on every build, for any share
 * of the rows, and whoever computes it. All strides are counts of elements.
 */

#define PANEL (128 / sizeof(REAL))
#define PANEL_VECTORS (128 / CYD_BYTES)
/* As many rows as there are registers for, with a panel's vectors beside them. */
#if CYD_BYTES == 64
#define PANEL_ROWS 8
#elif CYD_BYTES == 32
#define PANEL_ROWS 3
#elif defined(__aarch64__)
#define PANEL_ROWS 2
#else
#define PANEL_ROWS 1
#endif
/* Without this the sums of a narrow build would lie in memory. */
#define EACH _Pragma("GCC unroll 8") for

/* c[row, :] (+)= sum_rst a[row, r, s, t] b[r, s, t, :], over blocks, segments and terms. */
CYD_INLINE void NAME(cyd_panel_tile_)(REAL *c, const REAL *a, const REAL *b, const cyd_panel_t *p,
                                      uint64_t a_row, uint64_t a_term, uint64_t b_term,
                                      const int rows) {
    VECTOR sums[PANEL_ROWS][PANEL_VECTORS] = {0};
    if (p->more) {
        EACH (int row = 0; row < rows; row++) memcpy(sums[row], c + row * p->c_row, sizeof(sums[row]));
    }
    for (uint64_t r = 0; r < p->blocks; r++) {
        for (uint64_t s = 0; s < p->segments; s++) {
            const REAL *factors = a + r * p->a_block + s * p->a_segment;
            const REAL *panel = b + r * p->b_block + s * p->b_segment;
            for (uint64_t t = 0; t < p->terms; t++, factors += a_term, panel += b_term) {
                VECTOR v[PANEL_VECTORS];
                EACH (int i = 0; i < PANEL_VECTORS; i++) CYD_LOAD(v[i], panel + i * LANES);
                EACH (int row = 0; row < rows; row++) {
                    const REAL factor = factors[row * a_row];
                    EACH (int i = 0; i < PANEL_VECTORS; i++) sums[row][i] += v[i] * factor;
                }
            }
        }
    }
    EACH (int row = 0; row < rows; row++) {
        if (p->columns == PANEL) memcpy(c + row * p->c_row, sums[row], sizeof(sums[row]));
        else memcpy(c + row * p->c_row, sums[row], p->columns * sizeof(REAL));
    }
}

#define PANEL_TILE(count)                                                                         \
    NAME(cyd_panel_tile_)(c + row * p->c_row, a + row * a_row, b, p, a_row, a_term, b_term, count)

CYD_INLINE void NAME(cyd_panel_tiles_)(REAL *c, const REAL *a, const REAL *b, const cyd_panel_t *p,
                                       uint64_t a_row, uint64_t a_term, uint64_t b_term,
                                       uint64_t rows) {
    uint64_t row = 0;
    for (; row + PANEL_ROWS <= rows; row += PANEL_ROWS) PANEL_TILE(PANEL_ROWS);
    if (PANEL_ROWS > 4 && rows - row >= 4) {
        PANEL_TILE(PANEL_ROWS > 4 ? 4 : 1);
        row += 4;
    }
    if (PANEL_ROWS > 2 && rows - row >= 2) {
        PANEL_TILE(PANEL_ROWS > 2 ? 2 : 1);
        row += 2;
    }
    for (; row < rows; row++) PANEL_TILE(1);
}

/* The terms of a row stand side by side, and b is laid out as a panel. */
static void NAME(cyd_panel_rows_)(void *c, const void *a, const void *b, const cyd_panel_t *p,
                                  uint64_t rows) {
    NAME(cyd_panel_tiles_)(c, a, b, p, p->a_row, 1, PANEL, rows);
}

/* The rows stand side by side, and b is where it lies. */
static void NAME(cyd_panel_columns_)(void *c, const void *a, const void *b, const cyd_panel_t *p,
                                     uint64_t rows) {
    NAME(cyd_panel_tiles_)(c, a, b, p, 1, p->a_term, p->b_term, rows);
}

/* C = A B of (rows, k) and (k, n), B as panels one behind the other. */
static void NAME(cyd_panel_product_)(void *c, const void *a, const void *panels, uint64_t rows,
                                     uint64_t n, uint64_t k) {
    const REAL *panel = panels;
    for (uint64_t column = 0; column < n; column += PANEL, panel += k * PANEL) {
        const cyd_panel_t p = {.c_row = n, .a_row = k, .terms = k, .segments = 1, .blocks = 1,
                               .columns = n - column < PANEL ? n - column : PANEL};
        NAME(cyd_panel_rows_)((REAL *)c + column, a, panel, &p, rows);
    }
}
#undef PANEL
#undef PANEL_VECTORS
#undef PANEL_ROWS
#undef PANEL_TILE
#undef EACH

#define cyd_panel_rows(of, ...) CYD_REAL(cyd_panel_rows, of)(__VA_ARGS__)
#define cyd_panel_columns(of, ...) CYD_REAL(cyd_panel_columns, of)(__VA_ARGS__)
#define cyd_panel_product(of, ...) CYD_REAL(cyd_panel_product, of)(__VA_ARGS__)
