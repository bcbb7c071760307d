from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "simd/simd.h" nogil:
    # 16 bits each; of two types, or a fused type could not tell them apart.
    ctypedef unsigned short f16 "cyd_f16"
    ctypedef short bf16 "cyd_bf16"

    void digit "cyd_digit"(
        uint64_t key, uint64_t draw, uint64_t tile, uint32_t j, uint32_t *words) noexcept
    void tile_keep "cyd_tile_keep"(
        uint64_t key, uint64_t draw, uint64_t tile, uint64_t q, int digits, const uint32_t *own,
        uint64_t own_stride, int own_shift, uint32_t *words) noexcept
    ctypedef struct lines_t "cyd_lines_t":
        pass
    uint64_t to_aligned "cyd_to_aligned"(const void *p, uint64_t size) noexcept
    void stream_ahead "cyd_stream_ahead"(const void *x, int size) noexcept
    void stream_store "cyd_stream_store"(void *to, const lines_t *part, int size) noexcept
    void fetch "cyd_fetch"(const void *x, uint64_t size) noexcept
    void stream_end "cyd_stream_end"() noexcept
    uint32_t bits_at "cyd_bits_at"(const uint32_t *words, uint64_t at, int count) noexcept

    void spread_up "cyd_spread"(uint32_t *words, uint64_t count, uint64_t shift) noexcept
    uint64_t count_ones "cyd_count"(const uint32_t *words, uint64_t at, uint64_t count) noexcept

    void apply_f16 "cyd_apply_f16"(f16 *y, const f16 *x, const float *scale, uint32_t bits) noexcept
    void apply_bf16 "cyd_apply_bf16"(
        bf16 *y, const bf16 *x, const float *scale, uint32_t bits) noexcept
    void apply_f32 "cyd_apply_f32"(
        float *y, const float *x, const float *scale, uint32_t bits) noexcept
    void apply_f64 "cyd_apply_f64"(
        double *y, const double *x, const double *scale, uint32_t bits) noexcept

    void affine_f16 "cyd_affine_f16"(
        f16 *y, const f16 *x, const float *scale, uint32_t bits, float shift,
        float dropped) noexcept
    void affine_bf16 "cyd_affine_bf16"(
        bf16 *y, const bf16 *x, const float *scale, uint32_t bits, float shift,
        float dropped) noexcept
    void affine_f32 "cyd_affine_f32"(
        float *y, const float *x, const float *scale, uint32_t bits, float shift,
        float dropped) noexcept
    void affine_f64 "cyd_affine_f64"(
        double *y, const double *x, const double *scale, uint32_t bits, double shift,
        double dropped) noexcept

    void variates "cyd_variates"(
        uint64_t key, uint64_t draw, uint64_t first, uint64_t chunks, int logistic,
        float *v) noexcept
    void noise_parts_f32 "cyd_noise_parts_f32"(
        float *part, const float *n, const float *theta, uint64_t step, float sharpness,
        uint64_t count) noexcept
    void noise_parts_f64 "cyd_noise_parts_f64"(
        double *part, const float *n, const double *theta, uint64_t step, double sharpness,
        uint64_t count) noexcept
    void noise_f16 "cyd_noise_f16"(
        f16 *y, const f16 *x, const void *parts, const float *theta, uint64_t stride,
        uint64_t step, float sharpness, uint64_t count, int logistic) noexcept
    void noise_bf16 "cyd_noise_bf16"(
        bf16 *y, const bf16 *x, const void *parts, const float *theta, uint64_t stride,
        uint64_t step, float sharpness, uint64_t count, int logistic) noexcept
    void noise_f32 "cyd_noise_f32"(
        float *y, const float *x, const void *parts, const float *theta, uint64_t stride,
        uint64_t step, float sharpness, uint64_t count, int logistic) noexcept
    void noise_f64 "cyd_noise_f64"(
        double *y, const double *x, const void *parts, const double *theta, uint64_t stride,
        uint64_t step, double sharpness, uint64_t count, int logistic) noexcept
    void noise_back_f16 "cyd_noise_back_f16"(
        f16 *dx, float *total, const f16 *dy, const f16 *x, const void *parts,
        const float *theta, uint64_t stride, uint64_t step, float sharpness, uint64_t count,
        int logistic) noexcept
    void noise_back_bf16 "cyd_noise_back_bf16"(
        bf16 *dx, float *total, const bf16 *dy, const bf16 *x, const void *parts,
        const float *theta, uint64_t stride, uint64_t step, float sharpness, uint64_t count,
        int logistic) noexcept
    void noise_back_f32 "cyd_noise_back_f32"(
        float *dx, float *total, const float *dy, const float *x, const void *parts,
        const float *theta, uint64_t stride, uint64_t step, float sharpness, uint64_t count,
        int logistic) noexcept
    void noise_back_f64 "cyd_noise_back_f64"(
        double *dx, double *total, const double *dy, const double *x, const void *parts,
        const double *theta, uint64_t stride, uint64_t step, double sharpness, uint64_t count,
        int logistic) noexcept

    enum:
        ABREAST "CYD_ABREAST"
    void connect_f32 "cyd_connect_f32"(
        float *y, const float *x, const float *w, uint64_t stride, const uint32_t *words,
        uint64_t at, uint64_t units, uint64_t columns, int rows) noexcept
    void connect_f64 "cyd_connect_f64"(
        double *y, const double *x, const double *w, uint64_t stride, const uint32_t *words,
        uint64_t at, uint64_t units, uint64_t columns, int rows) noexcept
    void connect_back_f32 "cyd_connect_back_f32"(
        float *dw, float *dx, const float *dy, const float *x, const float *w, uint64_t stride,
        uint64_t inputs, const uint32_t **words, const uint64_t *at, uint64_t columns,
        int rows) noexcept
    void connect_back_f64 "cyd_connect_back_f64"(
        double *dw, double *dx, const double *dy, const double *x, const double *w,
        uint64_t stride, uint64_t inputs, const uint32_t **words, const uint64_t *at,
        uint64_t columns, int rows) noexcept

    void blend_16 "cyd_blend_16"(void *y, const void *yes, const void *no, uint32_t bits) noexcept
    void blend_32 "cyd_blend_32"(void *y, const void *yes, const void *no, uint32_t bits) noexcept
    void blend_64 "cyd_blend_64"(void *y, const void *yes, const void *no, uint32_t bits) noexcept
    void split_16 "cyd_split_16"(void *dyes, void *dno, const void *dy, uint32_t bits) noexcept
    void split_32 "cyd_split_32"(void *dyes, void *dno, const void *dy, uint32_t bits) noexcept
    void split_64 "cyd_split_64"(void *dyes, void *dno, const void *dy, uint32_t bits) noexcept
    void gated_f32 "cyd_gated_f32"(
        float *y, const float *p, const float *f, const float *g, const float *c,
        const float *scale, uint32_t bits) noexcept
    void gated_f64 "cyd_gated_f64"(
        double *y, const double *p, const double *f, const double *g, const double *c,
        const double *scale, uint32_t bits) noexcept
    void gated_back_f32 "cyd_gated_back_f32"(
        float *dp, float *df, float *dg, float *dc, const float *dy, const float *p,
        const float *f, const float *g, const float *c, const float *scale,
        uint32_t bits) noexcept
    void gated_back_f64 "cyd_gated_back_f64"(
        double *dp, double *df, double *dg, double *dc, const double *dy, const double *p,
        const double *f, const double *g, const double *c, const double *scale,
        uint32_t bits) noexcept

    void forward_f32 "cyd_forward_f32"(
        float *y, const float *z, const float *bias, const float *scale, uint64_t step,
        const uint32_t *words, uint64_t count, int kind, float a) noexcept
    void forward_f64 "cyd_forward_f64"(
        double *y, const double *z, const double *bias, const double *scale, uint64_t step,
        const uint32_t *words, uint64_t count, int kind, double a) noexcept
    void backward_f32 "cyd_backward_f32"(
        float *dz, float *total, const float *dy, const float *z, const float *bias,
        const float *scale, uint64_t step, const uint32_t *words, uint64_t count, int kind,
        float a) noexcept
    void backward_f64 "cyd_backward_f64"(
        double *dz, double *total, const double *dy, const double *z, const double *bias,
        const double *scale, uint64_t step, const uint32_t *words, uint64_t count, int kind,
        double a) noexcept

    void standout_f32 "cyd_standout_f32"(
        float *y, const float *z, const float *r, double a, double b, uint32_t *bits,
        const uint32_t *draws, uint64_t count, int mean, int kind) noexcept
    void standout_back_f32 "cyd_standout_back_f32"(
        float *dz, float *dr, const float *dy, const float *z, const float *r, double a,
        double b, uint32_t *bits, uint64_t count, int mean, int kind) noexcept
    void standout_f64 "cyd_standout_f64"(
        double *y, const double *z, const double *r, double a, double b, uint32_t *bits,
        const uint32_t *draws, uint64_t count, int mean, int kind) noexcept
    void standout_back_f64 "cyd_standout_back_f64"(
        double *dz, double *dr, const double *dy, const double *z, const double *r, double a,
        double b, uint32_t *bits, uint64_t count, int mean, int kind) noexcept
    void softmax_f32 "cyd_softmax_f32"(
        float *y, const float *x, float *statistics, uint64_t count, const uint32_t *keep,
        uint64_t bit, const uint32_t *allow, float scale, float factor) noexcept
    void softmax_back_f32 "cyd_softmax_back_f32"(
        float *dx, const float *dy, const float *x, const float *statistics, uint64_t count,
        const uint32_t *keep, uint64_t bit, const uint32_t *allow, float scale,
        float factor) noexcept
    void softmax_f64 "cyd_softmax_f64"(
        double *y, const double *x, double *statistics, uint64_t count, const uint32_t *keep,
        uint64_t bit, const uint32_t *allow, double scale, double factor) noexcept
    void softmax_back_f64 "cyd_softmax_back_f64"(
        double *dx, const double *dy, const double *x, const double *statistics, uint64_t count,
        const uint32_t *keep, uint64_t bit, const uint32_t *allow, double scale,
        double factor) noexcept
    void layer_norm_f32 "cyd_layer_norm_f32"(
        float *y, const float *x, float *statistics, const float *weight, const float *bias,
        uint64_t count, float epsilon) noexcept
    void layer_norm_back_f32 "cyd_layer_norm_back_f32"(
        float *dx, float *dweight, float *dbias, const float *dy, const float *x,
        const float *statistics, const float *weight, uint64_t count) noexcept
    void layer_norm_f64 "cyd_layer_norm_f64"(
        double *y, const double *x, double *statistics, const double *weight,
        const double *bias, uint64_t count, double epsilon) noexcept
    void layer_norm_back_f64 "cyd_layer_norm_back_f64"(
        double *dx, double *dweight, double *dbias, const double *dy, const double *x,
        const double *statistics, const double *weight, uint64_t count) noexcept

    ctypedef struct choice_t "cyd_choice_t":
        const uint32_t *words
        uint64_t at
        double scale
    ctypedef struct cell_row_t "cyd_row_t":
        int cell
        uint64_t units
        choice_t hidden
        choice_t later
        choice_t update
        choice_t zone_h
        choice_t zone_c
        void *z
        void *inner
        void *h
        void *c
        void *next
        const void *product
        const void *bias
        const void *inner_bias
        const void *h_before
        const void *c_before
        const void *dy
        const void *back
        void *dz
        void *ds
        void *flow
        void *dh
        void *dc
        void *before
    void cell_row_f32 "cyd_cell_row_f32"(const cell_row_t *r) noexcept
    void cell_row_f64 "cyd_cell_row_f64"(const cell_row_t *r) noexcept
    void cell_back_row_f32 "cyd_cell_back_row_f32"(const cell_row_t *r) noexcept
    void cell_back_row_f64 "cyd_cell_back_row_f64"(const cell_row_t *r) noexcept

    void max_f32 "cyd_pool_f32"(
        float *y, uint8_t *at, const float *x, const uint64_t *places, const uint8_t *numbers,
        uint64_t count, uint64_t channels) noexcept
    void max_back_f32 "cyd_pool_back_f32"(
        const float *dy, const uint8_t *at, float *dx, const uint64_t *places,
        const uint8_t *numbers, uint64_t count, uint64_t channels) noexcept
    void max_f64 "cyd_pool_f64"(
        double *y, uint8_t *at, const double *x, const uint64_t *places, const uint8_t *numbers,
        uint64_t count, uint64_t channels) noexcept
    void max_back_f64 "cyd_pool_back_f64"(
        const double *dy, const uint8_t *at, double *dx, const uint64_t *places,
        const uint8_t *numbers, uint64_t count, uint64_t channels) noexcept
