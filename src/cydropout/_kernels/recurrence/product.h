/* C = A B in the order of k for each number of C, so that it is the same on every build and for any
 * share of the rows; for one float type.
 *
 * B stands in panels of 128 bytes of columns, each (k, columns), so that all rows of A meet a panel
 * while it is in the cache. BLAS lays B out like this again at every step of a sequence.
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

CYD_INLINE void NAME(cyd_panel_tile_)(REAL *c, const REAL *a, const REAL *panel, uint64_t n, uint64_t k,
                                      uint64_t columns, const int rows) {
    VECTOR sums[PANEL_ROWS][PANEL_VECTORS] = {0};
    for (uint64_t i = 0; i < k; i++, panel += PANEL) {
        VECTOR b[PANEL_VECTORS];
        EACH (int v = 0; v < PANEL_VECTORS; v++) CYD_LOAD(b[v], panel + v * LANES);
        EACH (int row = 0; row < rows; row++) {
            const REAL factor = a[row * k + i];
            EACH (int v = 0; v < PANEL_VECTORS; v++) sums[row][v] = sums[row][v] + b[v] * factor;
        }
    }
    EACH (int row = 0; row < rows; row++) {
        if (columns == PANEL) memcpy(c + row * n, sums[row], sizeof(sums[row]));
        else memcpy(c + row * n, sums[row], columns * sizeof(REAL));
    }
}

#define PANEL_TILE(count)                                                                         \
    NAME(cyd_panel_tile_)(to + row * n, from + row * k, panel, n, k, columns, count)

static void NAME(cyd_panel_product_)(void *c, const void *a, const void *panels, uint64_t rows,
                                     uint64_t n, uint64_t k) {
    const REAL *panel = panels;
    for (uint64_t column = 0; column < n; column += PANEL, panel += k * PANEL) {
        const uint64_t columns = n - column < PANEL ? n - column : PANEL;
        REAL *to = (REAL *)c + column;
        const REAL *from = a;
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
}
#undef PANEL
#undef PANEL_VECTORS
#undef PANEL_ROWS
#undef PANEL_TILE
#undef EACH

#define cyd_panel_product(of, ...) CYD_REAL(cyd_panel_product, of)(__VA_ARGS__)
