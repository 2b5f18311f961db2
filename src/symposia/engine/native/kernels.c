/* The decoder stack of the lean forward on the CPU: packed linear layers, RMS norms, rotary embedding, paged ragged
 * attention, gated MLP. fp32 or bf16 weights, activations and K/V; all arithmetic accumulates in fp32.
 *
 * Axes as in Python: T tokens of the flat batch, D width, H query heads, K key heads, d head size, F the MLP's width.
 * A linear layer's sums run over its input in one fixed order, whatever else is in the batch.
 * No -ffast-math: what is not finite stays not finite.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define TILE 8 /* rows of a register tile */
#define WIDE 3 /* vectors of a register tile */
#elif defined(__AVX__)
#define LANES 8
#define TILE 6
#define WIDE 2
#else
#define LANES 4
#define TILE 4
#define WIDE 2
#endif
#if defined(__AVX512BF16__)
#include <immintrin.h>
#define PAIRED 1 /* bf16 weights lie in pairs along the input, as the dot-product instruction wants them */
#else
#define PAIRED 0
#endif
#define PANEL (LANES * WIDE)
#define MANY (TILE + 1) /* a full register tile among many */
#define DEEP 1024 /* inputs of a panel that stay in cache */
#define AHEAD 16  /* keys fetched before they are needed */
#define SOON 512  /* numbers of a bank row fetched before they are needed */
#define FEW 7     /* queries for which turning keys into columns does not pay */
#define QUERIES 8 /* query tokens attended together */
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));
typedef uint32_t uvec __attribute__((vector_size(LANES * 4)));
typedef uint16_t hvec __attribute__((vector_size(LANES * 2)));
typedef uint16_t bf16;

typedef struct {
    const void *weight; /* packed */
    const float *bias;  /* or NULL */
    int64_t out, in;
} Linear;

typedef struct {
    Linear qkv, project, gate_up, down;
    const float *pre_attention, *post_attention, *pre_mlp, *post_mlp, *q_norm, *k_norm; /* NULL where there is none */
    const float *cos, *sin; /* by position; the first half of sin negated */
    void *keys, *values;    /* by slot, key head, d */
    float scale, softcap;   /* softcap 0: none */
    int64_t window;         /* 0: none */
} Layer;

typedef struct {
    int64_t width, heads, kv_heads, size, rotary, block, threads, mlp; /* mlp: outputs of the widest gate and up */
    int32_t half, whole_qk, tanh_gelu; /* bf16; q and k normed over all heads; gate through GELU instead of SiLU */
    float eps;
} Model;

typedef struct {
    int64_t tokens, rows, longest;
    const int64_t *positions; /* T */
    const int64_t *bounds;    /* per row: first flat token, first position, end of positions, where its blocks begin */
    const int64_t *blocks;    /* of all rows */
} Step;

/* --- vectors ------------------------------------------------------------------------------------------------------ */

INLINE vec load(const float *at) {
    vec v;
    memcpy(&v, at, sizeof v);
    return v;
}

INLINE void store(float *at, vec v) { memcpy(at, &v, sizeof v); }

INLINE vec all(float x) { return x - (vec){0}; }

#if defined(__clang__) && LANES == 16
#define FLIPPED(v, n)                                                                                          \
    __builtin_shufflevector(v, v, 0 ^ n, 1 ^ n, 2 ^ n, 3 ^ n, 4 ^ n, 5 ^ n, 6 ^ n, 7 ^ n, 8 ^ n, 9 ^ n, 10 ^ n, \
                            11 ^ n, 12 ^ n, 13 ^ n, 14 ^ n, 15 ^ n)
#elif defined(__clang__) && LANES == 8
#define FLIPPED(v, n) __builtin_shufflevector(v, v, 0 ^ n, 1 ^ n, 2 ^ n, 3 ^ n, 4 ^ n, 5 ^ n, 6 ^ n, 7 ^ n)
#elif defined(__clang__)
#define FLIPPED(v, n) __builtin_shufflevector(v, v, 0 ^ n, 1 ^ n, 2 ^ n, 3 ^ n)
#else
#define FLIPPED(v, n) __builtin_shuffle(v, COUNT ^ n)
#endif
#if LANES == 16
#define COUNT ((ivec){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
#elif LANES == 8
#define COUNT ((ivec){0, 1, 2, 3, 4, 5, 6, 7})
#else
#define COUNT ((ivec){0, 1, 2, 3})
#endif

INLINE float sum(vec v) { /* pairs at a distance of 8, 4, 2, 1 */
#if LANES == 16
    v += FLIPPED(v, 8);
#endif
#if LANES >= 8
    v += FLIPPED(v, 4);
#endif
    v += FLIPPED(v, 2);
    v += FLIPPED(v, 1);
    return v[0];
}

INLINE vec least(vec x, vec most) { /* where neither is below, x: NaN stays NaN */
    ivec over = x > most;
    return (vec)((over & (ivec)most) | (~over & (ivec)x));
}

INLINE float widen(bf16 x) {
    uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, 4);
    return y;
}

INLINE bf16 narrow(float x) { /* to nearest even; NaN stays NaN */
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (bf16)rounded;
}

INLINE vec load_half(const bf16 *at) {
    hvec h;
    memcpy(&h, at, sizeof h);
    return (vec)(__builtin_convertvector(h, uvec) << 16);
}

INLINE vec load_kind(const void *at, int64_t i, int half) {
    return half ? load_half((const bf16 *)at + i) : load((const float *)at + i);
}

INLINE float one_kind(const void *at, int64_t i, int half) {
    return half ? widen(((const bf16 *)at)[i]) : ((const float *)at)[i];
}

INLINE vec power(vec x) { /* e^x to a few ulp: 2^n times a polynomial; saturates, NaN stays NaN */
    x = -least(-least(x, all(88.3f)), all(87.3f));
    vec shifted = x * 1.44269504f + 12582912.0f;
    vec n = shifted - 12582912.0f;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * (vec)(((ivec)shifted - 0x4b400000 + 127) << 23);
}

INLINE vec hyperbolic(vec x) { return 1.0f - 2.0f / (power(2.0f * x) + 1.0f); }

/* --- rows --------------------------------------------------------------------------------------------------------- */

static void to_float(float *out, const void *in, int64_t n, int half) {
    if (half)
        for (int64_t i = 0; i < n; i++) out[i] = widen(((const bf16 *)in)[i]);
    else
        memcpy(out, in, n * sizeof *out);
}

static void from_float(void *out, const float *in, int64_t n, int half) {
    if (half)
        for (int64_t i = 0; i < n; i++) ((bf16 *)out)[i] = narrow(in[i]);
    else if (out != in)
        memcpy(out, in, n * sizeof *in);
}

static void normed(float *row, const float *weight, int64_t n, float eps) {
    vec squares = {0};
    float rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) squares += load(row + i) * load(row + i);
    for (; i < n; i++) rest += row[i] * row[i];
    float by = 1.0f / sqrtf((sum(squares) + rest) / (float)n + eps);
    for (i = 0; i < n; i++) row[i] = row[i] * by * weight[i];
}

/* --- linear layers ------------------------------------------------------------------------------------------------ */

/* What is wanted next from memory: `lines` cache lines at a time, `stride` bytes on for each input. */
typedef struct {
    const char *at;
    int64_t stride;
} Ahead;

INLINE void tile(const int rows, const int half, const int lines, const void *x, int64_t stride, const void *panel,
                 int64_t depth, Ahead ahead, vec sums[TILE][WIDE]) {
    vec acc[TILE][WIDE];
    for (int r = 0; r < rows; r++)
        for (int w = 0; w < WIDE; w++) acc[r][w] = sums[r][w];
    if (!half) {
        const float *at = panel, *from = x;
        for (int64_t k = 0; k < depth; k++, at += PANEL) {
            vec column[WIDE];
            for (int w = 0; w < lines; w++) __builtin_prefetch(ahead.at + 64 * w, 0, 2);
            ahead.at += ahead.stride;
            for (int w = 0; w < WIDE; w++) column[w] = load(at + w * LANES);
            for (int r = 0; r < rows; r++)
                for (int w = 0; w < WIDE; w++) acc[r][w] += from[r * stride + k] * column[w];
        }
    } else {
        const bf16 *at = panel, *from = x;
#if PAIRED
        for (int64_t k = 0; k < depth; k += 2, at += 2 * PANEL) {
            __m512bh column[WIDE];
            for (int w = 0; w < lines; w++) __builtin_prefetch(ahead.at + 64 * w, 0, 2);
            ahead.at += 2 * ahead.stride;
            for (int w = 0; w < WIDE; w++) column[w] = (__m512bh)_mm512_loadu_si512(at + 2 * w * LANES);
            for (int r = 0; r < rows; r++) {
                int32_t pair;
                memcpy(&pair, from + r * stride + k, 4);
                __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
                for (int w = 0; w < WIDE; w++)
                    acc[r][w] = (vec)_mm512_dpbf16_ps((__m512)acc[r][w], column[w], both);
            }
        }
#else
        for (int64_t k = 0; k < depth; k++, at += PANEL) {
            vec column[WIDE];
            for (int w = 0; w < WIDE; w++) column[w] = load_half(at + w * LANES);
            for (int r = 0; r < rows; r++)
                for (int w = 0; w < WIDE; w++) acc[r][w] += widen(from[r * stride + k]) * column[w];
        }
#endif
    }
    for (int r = 0; r < rows; r++)
        for (int w = 0; w < WIDE; w++) sums[r][w] = acc[r][w];
}

#define TILED(n, lines)                                                                                \
    case n:                                                                                            \
        half ? tile(n > TILE ? TILE : n, 1, lines, x, stride, panel, depth, ahead, sums)                                 \
             : tile(n > TILE ? TILE : n, 0, lines, x, stride, panel, depth, ahead, sums);                                \
        break;

static void any_tile(int rows, int half, const void *x, int64_t stride, const void *panel, int64_t depth,
                     Ahead ahead, vec sums[TILE][WIDE]) {
    switch (rows) { /* one row is as fast as memory is read anyway */
        TILED(1, 0)
        TILED(2, WIDE)
        TILED(3, WIDE)
        TILED(4, WIDE)
#if TILE > 4
        TILED(5, WIDE)
        TILED(6, WIDE)
#endif
#if TILE > 6
        TILED(7, WIDE)
        TILED(8, WIDE)
#endif
        TILED(MANY, 1)
    }
}

static int64_t even(int64_t n) { return n + (n & 1); }

/* One panel of outputs for all rows. `x` has `even(in)` numbers a row in bf16, `in` in fp32. */
static void panel_of(const Linear *linear, int64_t index, const void *x, float *y, int64_t tokens, int half) {
    int64_t in = half ? even(linear->in) : linear->in, first = index * PANEL;
    int64_t wide = linear->out - first < PANEL ? linear->out - first : PANEL;
    size_t item = half ? sizeof(bf16) : sizeof(float);
    const char *panel = (const char *)linear->weight + first * in * item;
    int64_t tiles = (tokens + TILE - 1) / TILE, high = (tokens + tiles - 1) / tiles; /* tiles of nearly equal height */
    for (int64_t k = 0; k < in; k += DEEP) {
        int64_t depth = in - k < DEEP ? in - k : DEEP;
        for (int64_t t = 0; t < tokens; t += high) {
            int rows = (int)(tokens - t < high ? tokens - t : high);
            vec sums[TILE][WIDE] = {{{0}}};
            float part[PANEL] = {0};
            for (int r = 0; r < rows; r++) {
                float *at = y + (t + r) * linear->out + first;
                const float *from = k ? at : linear->bias ? linear->bias + first : NULL;
                if (from == NULL) continue;
                if (wide < PANEL) from = memcpy(part, from, wide * sizeof *part);
                for (int w = 0; w < WIDE; w++) sums[r][w] = load(from + w * LANES);
            }
            const char *from = panel + k * PANEL * item; /* the next panel is fetched in as many parts as there are tiles */
            int64_t next = depth * PANEL * item / tiles / 64 * 64;
            Ahead ahead = {from + depth * PANEL * item + t / high * next, PANEL * item / tiles};
            int kind = rows == TILE && tiles > 2 ? MANY : rows;
            any_tile(kind, half, (const char *)x + (t * in + k) * item, in, from, depth, ahead, sums);
            for (int r = 0; r < rows; r++) {
                float *at = y + (t + r) * linear->out + first;
                if (wide == PANEL)
                    memcpy(at, sums[r], sizeof part);
                else
                    memcpy(at, sums[r], wide * sizeof *part);
            }
        }
    }
}

/* y_TO = x_TI W^T + b. `halved` is room for x in bf16, unused in fp32. */
static void apply(const Linear *linear, const float *x, float *y, int64_t tokens, const Model *model, bf16 *halved) {
    const void *from = x;
    if (!tokens) return; /* a read wants no logits */
    if (model->half) {
        int64_t in = even(linear->in);
        for (int64_t t = 0; t < tokens; t++) {
            from_float(halved + t * in, x + t * linear->in, linear->in, 1);
            if (in > linear->in) halved[t * in + in - 1] = 0;
        }
        from = halved;
    }
    int64_t panels = (linear->out + PANEL - 1) / PANEL;
#pragma omp parallel for if (model->threads > 1) num_threads(model->threads) schedule(static)
    for (int64_t p = 0; p < panels; p++) panel_of(linear, p, from, y, tokens, model->half);
}

/* --- attention ---------------------------------------------------------------------------------------------------- */

typedef struct {
    float *scores, *queries, *columns, *out;
    int64_t *slots;
} Room;

/* Blocks lie anywhere: the processor's own prefetching stops at their ends. */
INLINE void fetch(const void *at, int64_t i, int64_t d, int half) {
    const char *from = (const char *)at + i * (half ? 2 : 4), *to = from + d * (half ? 2 : 4);
    for (; from < to; from += 64) __builtin_prefetch(from);
}

/* Scores of few queries: dot products with each key, which is loaded once for all of them. */
INLINE void few_scores(const int rows, const Room *room, const void *keys, int64_t count, int64_t width, int64_t d,
                       int half) {
    const float *q = room->queries;
    for (int64_t l = 0; l < count; l++) {
        if (l + AHEAD < count) fetch(keys, room->slots[l + AHEAD], d, half);
        vec acc[FEW] = {{0}};
        float rest[FEW] = {0};
        int64_t at = room->slots[l], i = 0;
        for (; i + LANES <= d; i += LANES) {
            vec k = load_kind(keys, at + i, half);
            for (int r = 0; r < rows; r++) acc[r] += load(q + r * d + i) * k;
        }
        for (; i < d; i++)
            for (int r = 0; r < rows; r++) rest[r] += q[r * d + i] * one_kind(keys, at + i, half);
        for (int r = 0; r < rows; r++) room->scores[r * width + l] = sum(acc[r]) + rest[r];
    }
}

INLINE void tile_scores(const int rows, const Room *room, int64_t first, int64_t l, int64_t width, int64_t d) {
    vec acc[8] = {{0}};
    const float *q = room->queries + first * d;
    for (int64_t i = 0; i < d; i++) {
        vec column = load(room->columns + i * LANES);
        for (int r = 0; r < rows; r++) acc[r] += q[r * d + i] * column;
    }
    for (int r = 0; r < rows; r++) store(room->scores + (first + r) * width + l, acc[r]);
}

/* Scores of many queries: keys are turned into columns once, then used by all. */
INLINE void many_scores(const Room *room, const void *keys, int64_t n, int64_t count, int64_t width, int64_t d,
                        int half) {
    for (int64_t l = 0; l < count; l += LANES) {
        for (int64_t j = 0; j < LANES; j++) {
            int64_t at = room->slots[l + j < count ? l + j : l];
            for (int64_t i = 0; i < d; i++) room->columns[i * LANES + j] = one_kind(keys, at + i, half);
        }
        int64_t r = 0;
        for (; r + 8 <= n; r += 8) tile_scores(8, room, r, l, width, d);
        for (; r < n; r++) tile_scores(1, room, r, l, width, d);
    }
}

INLINE void filled(float *scores, int64_t from, int64_t to, int64_t width, float with) {
    for (int64_t l = 0; l < from; l++) scores[l] = with;
    for (int64_t l = to; l < width; l++) scores[l] = with;
}

/* Softmax of `scores[from, to)` in place, after the softcap; zero elsewhere. */
static void soften(float *scores, int64_t from, int64_t to, int64_t width, float softcap) {
    if (softcap > 0)
        for (int64_t l = 0; l < width; l += LANES)
            store(scores + l, hyperbolic(load(scores + l) / softcap) * softcap);
    filled(scores, from, to, width, -INFINITY);
    vec tops = all(-INFINITY), total = {0};
    for (int64_t l = 0; l < width; l += LANES) tops = -least(-tops, -load(scores + l));
    float most = tops[0];
    for (int i = 1; i < LANES; i++) most = tops[i] > most ? tops[i] : most;
    for (int64_t l = 0; l < width; l += LANES) store(scores + l, power(load(scores + l) - most));
    filled(scores, from, to, width, 0);
    for (int64_t l = 0; l < width; l += LANES) total += load(scores + l);
    float by = 1.0f / sum(total);
    for (int64_t l = 0; l < width; l += LANES) store(scores + l, load(scores + l) * by);
}

INLINE void mix(const int rows, const Room *room, const void *values, int64_t first, int64_t count, int64_t width,
                int64_t d, int half) {
    const float *p = room->scores + first * width;
    float *out = room->out + first * d;
    int64_t i = 0;
    for (; i + 4 * LANES <= d; i += 4 * LANES) {
        vec acc[4][4] = {{{0}}};
        for (int64_t l = 0; l < count; l++) {
            if (l + AHEAD < count) fetch(values, room->slots[l + AHEAD] + i, 4 * LANES, half);
            for (int w = 0; w < 4; w++) {
                vec v = load_kind(values, room->slots[l] + i + w * LANES, half);
                for (int r = 0; r < rows; r++) acc[r][w] += p[r * width + l] * v;
            }
        }
        for (int r = 0; r < rows; r++)
            for (int w = 0; w < 4; w++) store(out + r * d + i + w * LANES, acc[r][w]);
    }
    for (; i + LANES <= d; i += LANES) {
        vec acc[4] = {{0}};
        for (int64_t l = 0; l < count; l++) {
            vec v = load_kind(values, room->slots[l] + i, half);
            for (int r = 0; r < rows; r++) acc[r] += p[r * width + l] * v;
        }
        for (int r = 0; r < rows; r++) store(out + r * d + i, acc[r]);
    }
    for (; i < d; i++)
        for (int r = 0; r < rows; r++) {
            float acc = 0;
            for (int64_t l = 0; l < count; l++)
                acc += p[r * width + l] * one_kind(values, room->slots[l] + i, half);
            out[r * d + i] = acc;
        }
}

INLINE void mixed(const Room *room, const void *values, int64_t n, int64_t count, int64_t width, int64_t d, int half) {
    int64_t r = 0;
    for (; r + 4 <= n; r += 4) mix(4, room, values, r, count, width, d, half);
    switch (n - r) {
        case 3: mix(3, room, values, r, count, width, d, half); break;
        case 2: mix(2, room, values, r, count, width, d, half); break;
        case 1: mix(1, room, values, r, count, width, d, half); break;
    }
}

/* Query tokens [begin, end) of one row and all query heads of one key head. */
INLINE void attend_kind(const Model *m, const Layer *layer, const Step *step, const int64_t *bound, int64_t head,
                        int64_t begin, int64_t end, const float *qkv, float *out, const Room *room, const int half) {
    int64_t d = m->size, groups = m->heads / m->kv_heads, n = (end - begin) * groups;
    int64_t stride = (m->heads + 2 * m->kv_heads) * d, start = bound[1] + begin, stop = bound[1] + end;
    int64_t low = layer->window && start + 1 > layer->window ? start + 1 - layer->window : 0;
    int64_t count = stop - low, width = (count + LANES - 1) / LANES * LANES;
    const int64_t *blocks = step->blocks + bound[3];
    for (int64_t p = low; p < stop; p++)
        room->slots[p - low] = ((blocks[p / m->block] * m->block + p % m->block) * m->kv_heads + head) * d;
    for (int64_t t = begin; t < end; t++)
        for (int64_t g = 0; g < groups; g++) {
            const float *q = qkv + (bound[0] + t) * stride + (head * groups + g) * d;
            float *to = room->queries + ((t - begin) * groups + g) * d;
            for (int64_t i = 0; i < d; i++) to[i] = q[i] * layer->scale;
        }
    switch (n) {
        case 1: few_scores(1, room, layer->keys, count, width, d, half); break;
        case 2: few_scores(2, room, layer->keys, count, width, d, half); break;
        case 3: few_scores(3, room, layer->keys, count, width, d, half); break;
        case 4: few_scores(4, room, layer->keys, count, width, d, half); break;
        case 5: few_scores(5, room, layer->keys, count, width, d, half); break;
        case 6: few_scores(6, room, layer->keys, count, width, d, half); break;
        case FEW: few_scores(FEW, room, layer->keys, count, width, d, half); break;
        default: many_scores(room, layer->keys, n, count, width, d, half);
    }
    for (int64_t r = 0; r < n; r++) {
        int64_t to = start + r / groups + 1, from = layer->window && to > layer->window ? to - layer->window : 0;
        soften(room->scores + r * width, from - low, to - low, width, layer->softcap);
    }
    mixed(room, layer->values, n, count, width, d, half);
    for (int64_t t = begin; t < end; t++)
        memcpy(out + ((bound[0] + t) * m->heads + head * groups) * d, room->out + (t - begin) * groups * d,
               groups * d * sizeof *out);
}

static int64_t room_floats(const Model *m, int64_t longest) {
    int64_t n = QUERIES * (m->heads / m->kv_heads), width = longest + LANES;
    return n * width + 2 * n * m->size + m->size * LANES + 2 * width + 4 * LANES;
}

static Room room_in(float *at, const Model *m, int64_t longest) {
    int64_t n = QUERIES * (m->heads / m->kv_heads), width = longest + LANES;
    Room room;
    room.slots = (int64_t *)at;
    room.columns = at + 2 * width;
    room.scores = room.columns + m->size * LANES;
    room.queries = room.scores + n * width;
    room.out = room.queries + n * m->size;
    return room;
}

static void turned(float *head, const float *cos, const float *sin, int64_t r) {
    for (int64_t i = 0; i < r / 2; i++) {
        float a = head[i], b = head[i + r / 2];
        head[i] = a * cos[i] + b * sin[i];
        head[i + r / 2] = b * cos[i + r / 2] + a * sin[i + r / 2];
    }
}

/* Norms and turns queries and keys of one flat token in place, and writes its K/V. */
static void settle(const Model *m, const Layer *layer, float *qkv, int64_t position, int64_t slot) {
    int64_t d = m->size, q = m->heads * d, k = m->kv_heads * d;
    if (layer->q_norm != NULL) {
        int64_t wide_q = m->whole_qk ? q : d, wide_k = m->whole_qk ? k : d;
        for (int64_t i = 0; i < q; i += wide_q) normed(qkv + i, layer->q_norm, wide_q, m->eps);
        for (int64_t i = 0; i < k; i += wide_k) normed(qkv + q + i, layer->k_norm, wide_k, m->eps);
    }
    for (int64_t i = 0; i < q + k; i += d)
        turned(qkv + i, layer->cos + position * m->rotary, layer->sin + position * m->rotary, m->rotary);
    size_t item = m->half ? sizeof(bf16) : sizeof(float);
    from_float((char *)layer->keys + slot * k * item, qkv + q, k, m->half);
    from_float((char *)layer->values + slot * k * item, qkv + q + k, k, m->half);
}

static void attention(const Model *m, const Layer *layer, const Step *step, float *qkv, float *out, float *rooms) {
    int64_t stride = (m->heads + 2 * m->kv_heads) * m->size, most = 1;
    for (int64_t row = 0; row < step->rows; row++) {
        const int64_t *bound = step->bounds + 4 * row, *blocks = step->blocks + bound[3];
        int64_t n = bound[2] - bound[1], parts = (n + QUERIES - 1) / QUERIES;
        most = parts > most ? parts : most;
        for (int64_t i = 0; i < n; i++) {
            int64_t p = bound[1] + i, slot = blocks[p / m->block] * m->block + p % m->block;
            settle(m, layer, qkv + (bound[0] + i) * stride, p, slot);
        }
    }
    int64_t items = step->rows * m->kv_heads, floats = room_floats(m, step->longest);
    int64_t shares = m->threads > 1 ? m->threads : 1;
#pragma omp parallel for if (shares > 1) num_threads(shares) schedule(static)
    for (int64_t share = 0; share < shares; share++) {
        Room room = room_in(rooms + share * floats, m, step->longest);
        for (int64_t item = share; item < items * most; item += shares) {
            const int64_t *bound = step->bounds + 4 * (item / most / m->kv_heads);
            int64_t head = item / most % m->kv_heads, n = bound[2] - bound[1], begin = item % most * QUERIES;
            int64_t end = begin + QUERIES < n ? begin + QUERIES : n;
            if (begin >= n) continue;
            if (m->half)
                attend_kind(m, layer, step, bound, head, begin, end, qkv, out, &room, 1);
            else
                attend_kind(m, layer, step, bound, head, begin, end, qkv, out, &room, 0);
        }
    }
}

/* --- interventions ------------------------------------------------------------------------------------------------ */

typedef struct { /* `RECORD` of interp.program, which says what each kind does */
    int32_t kind, read, write, slot, flags, gate;
    double a, b, c, low, high, m;
} Instruction;

enum { UPDATE, ROTATE, SLERP, OVERWRITE, LATENT, SEAL, COUNTED, PROBE };
enum { RELATIVE = 1, WHOLE = 2, SUM = 4, PRODUCT = 8, KEEP = 16, NO_GROWTH = 32, PART = 64, BELOW = 128, COSINE = 256,
       CAST = 512, SPAN = 1024 };

static float dot(const float *x, const float *y, int64_t n) {
    vec products[4] = {{0}}; /* of which none waits for another */
    float rest = 0;
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int w = 0; w < 4; w++) products[w] += load(x + i + w * LANES) * load(y + i + w * LANES);
    for (; i + LANES <= n; i += LANES) products[0] += load(x + i) * load(y + i);
    for (; i < n; i++) rest += x[i] * y[i];
    return sum(products[0] + products[1] + (products[2] + products[3])) + rest;
}

/* In one pass: ||was||^2, ||is - was||^2, and both along a unit row. */
static void compared(const float *was, const float *is, const float *unit, int64_t n, float found[4]) {
    vec norms = {0}, apart = {0}, before = {0}, after = {0};
    float rest[4] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec a = load(was + i), b = load(is + i), u = load(unit + i), by = b - a;
        norms += a * a;
        apart += by * by;
        before += a * u;
        after += b * u;
    }
    for (; i < n; i++) {
        float a = was[i], b = is[i], by = b - a;
        rest[0] += a * a;
        rest[1] += by * by;
        rest[2] += a * unit[i];
        rest[3] += b * unit[i];
    }
    found[0] = sum(norms) + rest[0];
    found[1] = sum(apart) + rest[1];
    found[2] = sum(before) + rest[2];
    found[3] = sum(after) + rest[3];
}

static float length(const float *x, int64_t n) { return sqrtf(dot(x, x, n)); }

static void moved(float *h, float size, const float *along, int64_t n) {
    for (int64_t i = 0; i < n; i++) h[i] += size * along[i];
}

/* One token's residual as its instructions run. `was` and `is` are after the cast, before and after an element; in fp32
 * `base` is `is`. */
typedef struct {
    float *h, *base, *was, *is;
    double before, after; /* squares of a subspace so far */
    int64_t n;
    int half;
} Residual;

static void slerped(Residual *t, const Instruction *ins, const float *r) {
    float norm = length(t->h, t->n), share = (float)ins->a, m = (float)ins->m;
    float cosine = dot(t->h, r, t->n) / (norm > 1e-12f ? norm : 1e-12f);
    cosine = cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
    float sine = sqrtf(1 - cosine * cosine), angle = acosf(cosine);
    int flat = sine < 1e-4f;
    float keep = flat ? 1 - share : sinf((1 - share) * angle) / sine;
    float turn = flat ? share : sinf(share * angle) / sine, by = 1;
    if (flat) {
        float total = 0;
        for (int64_t i = 0; i < t->n; i++) {
            float x = keep * t->h[i] + turn * norm * r[i];
            total += x * x;
        }
        by = norm / (sqrtf(total) > 1e-12f ? sqrtf(total) : 1e-12f);
    }
    for (int64_t i = 0; i < t->n; i++) {
        float x = by * (keep * t->h[i] + turn * norm * r[i]);
        t->h[i] += m * (x - t->h[i]);
    }
}

static void changed(Residual *t, const Instruction *ins, const float *r, const float *w) {
    float m = (float)ins->m, a = (float)ins->a, s;
    switch (ins->kind) {
        case UPDATE: {
            s = ins->read ? dot(t->h, r, t->n) : 0;
            float clipped = s < (float)ins->low ? (float)ins->low : s > (float)ins->high ? (float)ins->high : s;
            float size = m * (a + (float)ins->b * s + (float)ins->c * clipped);
            if (ins->flags & RELATIVE) size *= length(t->base, t->n);
            moved(t->h, size, w, t->n);
            break;
        }
        case ROTATE: {
            s = dot(t->h, r, t->n);
            float other = dot(t->h, w, t->n), long_ = hypotf(s, other);
            moved(t->h, long_ * cosf(m * a) - s, r, t->n);
            moved(t->h, long_ * sinf(m * a) - other, w, t->n);
            break;
        }
        case SLERP: slerped(t, ins, r); break;
        case OVERWRITE:
            for (int64_t i = 0; i < t->n; i++) t->h[i] += m * (ins->flags & WHOLE ? 1 : r[i]) * (w[i] - t->h[i]);
            break;
        case LATENT: {
            float f = dot(t->h, r, t->n) + (float)ins->b;
            f = f > (float)ins->c ? f : f == f ? 0 : f;
            float wanted = ins->flags & SUM ? f + a : ins->flags & PRODUCT ? f * a : a;
            moved(t->h, m * (wanted - f), w, t->n);
            break;
        }
    }
}

static void sealed(Residual *t, int32_t flags) {
    if (flags & (KEEP | NO_GROWTH)) {
        float now = length(t->h, t->n), then = length(t->base, t->n);
        if (now > 0 && (flags & KEEP || now > then) && memcmp(t->h, t->base, t->n * sizeof *t->h))
            for (int64_t i = 0; i < t->n; i++) t->h[i] *= then / now;
    }
    float *was = t->was;
    t->was = t->is;
    t->is = was;
    if (t->half) {
        memcpy(t->base, t->h, t->n * sizeof *t->h);
        for (int64_t i = 0; i < t->n; i++) t->is[i] = widen(narrow(t->h[i]));
    } else {
        memcpy(t->is, t->h, t->n * sizeof *t->h);
        t->base = t->is;
    }
}

static void counted(Residual *t, const Instruction *ins, const float *unit, double *sums, double *peak) {
    float found[4];
    compared(t->was, t->is, unit, t->n, found);
    double before = ins->read ? found[2] : 0, after = ins->read ? found[3] : 0;
    if (ins->flags & (PART | SPAN)) {
        t->before += before * before;
        t->after += after * after;
        if (ins->flags & PART) return;
        before = sqrt(t->before);
        after = sqrt(t->after);
        t->before = t->after = 0;
    }
    double entry[5] = {1, sqrtf(found[0]), sqrtf(found[1]), before, after};
    for (int i = 0; i < 5; i++) sums[5 * ins->slot + i] += entry[i];
    if (!(entry[2] <= peak[ins->slot])) peak[ins->slot] = entry[2];
}

static void probed(const Residual *t, const Instruction *ins, const float *unit, float *open, double *sums) {
    float s = dot(t->h, unit, t->n), norm = length(t->h, t->n), score = s;
    norm = norm > 1e-12f ? norm : 1e-12f;
    if (ins->flags & COSINE) score = s / norm;
    if (ins->flags & CAST) {
        float product = 0, squares = 0;
        for (int64_t i = 0; i < t->n; i++) {
            float part = tanhf(s * unit[i]);
            product += t->h[i] * part;
            squares += part * part;
        }
        score = product / (norm * (sqrtf(squares) > 1e-12f ? sqrtf(squares) : 1e-12f));
    }
    *open = (score > (float)ins->a) != !!(ins->flags & BELOW);
    double entry[3] = {1, score, *open};
    for (int i = 0; i < 3; i++) sums[5 * ins->slot + i] += entry[i];
}

/* What is shared by all that is written in a step. `stride` numbers lie between rows of the bank, `registers` between
 * tokens of `gates`, which may be NULL. */
typedef struct {
    const float *rows;
    int64_t stride;
    double *sums, *peak;
    int64_t registers;
    float *gates;
} Writing;

/* Instructions up to ends[i] for flat token tokens[i], of rows of `width` numbers. */
typedef struct {
    int64_t width, count;
    const int64_t *tokens, *ends;
    const Instruction *code;
} Program;

/* The rows that the instructions of a token use are wanted soon: the weights of a whole step lay in between. */
static void awaited(const Writing *writing, const Program *program, int64_t i) {
    int64_t first = program->width < SOON ? program->width : SOON; /* what follows in line comes by itself */
    for (int64_t k = i ? program->ends[i - 1] : 0; k < program->ends[i]; k++) {
        const Instruction *ins = program->code + k;
        if (ins->read) fetch(writing->rows, ins->read * writing->stride, first, 0);
        if (ins->write && ins->write != ins->read) fetch(writing->rows, ins->write * writing->stride, first, 0);
    }
}

/* Runs a program on rows in the model's dtype; `room` is for four rows. */
static void written(const Writing *writing, const Program *program, void *hidden, int half, float *room) {
    int64_t width = program->width;
    if (program->count) awaited(writing, program, 0);
    for (int64_t i = 0, k = 0; i < program->count; i++) {
        if (i + 1 < program->count) awaited(writing, program, i + 1);
        Residual t = {room, room + width, room + 2 * width, room + 3 * width, 0, 0, width, half};
        int64_t token = program->tokens[i];
        void *at = (char *)hidden + token * width * (half ? sizeof(bf16) : sizeof(float));
        to_float(t.h, at, width, half);
        memcpy(t.is, t.h, width * sizeof *room);
        if (half)
            memcpy(t.base, t.h, width * sizeof *room);
        else
            t.base = t.is;
        for (; k < program->ends[i]; k++) {
            const Instruction *ins = program->code + k;
            const float *r = writing->rows + ins->read * writing->stride, *w = writing->rows + ins->write * writing->stride;
            float *open = writing->gates == NULL ? NULL : writing->gates + token * writing->registers + ins->gate;
            if (ins->kind == PROBE)
                probed(&t, ins, r, open, writing->sums);
            else if (ins->gate && *open == 0)
                continue;
            else if (ins->kind == SEAL)
                sealed(&t, ins->flags);
            else if (ins->kind == COUNTED)
                counted(&t, ins, r, writing->sums, writing->peak);
            else
                changed(&t, ins, r, w);
        }
        from_float(at, t.h, width, half);
    }
}

/* The same for rows that no stack holds; 1 if there was no memory for it. */
int32_t intervene(const Writing *writing, const Program *program, void *hidden, int32_t half) {
    float *room = malloc(4 * program->width * sizeof *room);
    if (room == NULL) return 1;
    written(writing, program, hidden, half, room);
    free(room);
    return 0;
}

/* --- taps --------------------------------------------------------------------------------------------------------- */

typedef struct { /* rows of some flat tokens, copied out one after the other; before or after what is written */
    const int64_t *tokens;
    int64_t count, before;
    char *to;
} Read;

typedef struct { /* one site: how many stages lie before it, which buffer it is, what is written, what is read */
    int64_t stage, place, reads;
    Program program;
    const Read *read;
} Tap;

static void copied(const Tap *tap, const char *from, int before, int half) {
    size_t bytes = tap->program.width * (half ? sizeof(bf16) : sizeof(float));
    for (const Read *read = tap->read; read < tap->read + tap->reads; read++)
        if (read->before == before)
            for (int64_t i = 0; i < read->count; i++)
                memcpy(read->to + i * bytes, from + read->tokens[i] * bytes, bytes);
}

static void tapped(const Tap *tap, const Writing *writing, void *rows, int half, float *room) {
    copied(tap, rows, 1, half);
    if (tap->program.count) written(writing, &tap->program, rows, half, room);
    copied(tap, rows, 0, half);
}

/* --- the stack ---------------------------------------------------------------------------------------------------- */

static void gated(const Model *m, const float *both, float *out, int64_t tokens, int64_t wide) {
    for (int64_t t = 0; t < tokens; t++) {
        const float *gate = both + 2 * t * wide, *up = gate + wide;
        for (int64_t i = 0; i < wide; i += LANES) {
            int64_t n = wide - i < LANES ? wide - i : LANES;
            float padded[LANES] = {0}, made[LANES];
            vec g = n == LANES ? load(gate + i) : load(memcpy(padded, gate + i, n * sizeof *gate));
            vec a = m->tanh_gelu ? 0.5f * g * (1.0f + hyperbolic(0.7978845608f * (g + 0.044715f * g * g * g)))
                                 : g / (1.0f + power(-g));
            store(made, a);
            for (int64_t j = 0; j < n; j++) out[t * wide + i + j] = made[j] * up[i + j];
        }
    }
}

static int64_t widest(const Model *m) {
    int64_t attention = (m->heads + 2 * m->kv_heads) * m->size;
    int64_t wide = m->mlp > attention ? m->mlp : attention;
    return wide > m->width ? wide : m->width;
}

/* Floats of scratch that `run` needs. */
int64_t scratch(const Model *m, const Step *step) {
    int64_t shares = m->threads > 1 ? m->threads : 1;
    return 3 * step->tokens * (widest(m) + 1) + 4 * widest(m) + shares * room_floats(m, step->longest) + 64;
}

/* Room for one step: two wide buffers, one for bf16 copies, and one for attention. */
typedef struct {
    float *x, *y, *rooms;
    bf16 *halved;
} Desk;

/* x: the rows of `hidden` as fp32, normed if there is a weight. */
static void entered(const Model *m, const Step *step, const void *hidden, const float *weight, float *x) {
    to_float(x, hidden, step->tokens * m->width, m->half);
    if (weight != NULL)
        for (int64_t t = 0; t < step->tokens; t++) normed(x + t * m->width, weight, m->width, m->eps);
}

/* term_TD: the product of x, normed if there is a weight. */
static void left(const Model *m, const Step *step, const Linear *linear, const float *x, const float *weight, void *term,
                 const Desk *desk) {
    float *made = m->half ? desk->y : term;
    apply(linear, x, made, step->tokens, m, desk->halved);
    if (weight != NULL)
        for (int64_t t = 0; t < step->tokens; t++) normed(made + t * m->width, weight, m->width, m->eps);
    from_float(term, made, step->tokens * m->width, m->half);
}

/* z_TX: what all query heads found, side by side. */
static void looked(const Model *m, const Layer *layer, const Step *step, const void *hidden, void *z, const Desk *desk) {
    entered(m, step, hidden, layer->pre_attention, desk->x);
    apply(&layer->qkv, desk->x, desk->y, step->tokens, m, desk->halved);
    float *made = m->half ? desk->x : z;
    attention(m, layer, step, desk->y, made, desk->rooms);
    from_float(z, made, step->tokens * m->heads * m->size, m->half);
}

static void thought(const Model *m, const Layer *layer, const Step *step, const void *hidden, void *term,
                    const Desk *desk) {
    entered(m, step, hidden, layer->pre_mlp, desk->x);
    apply(&layer->gate_up, desk->x, desk->y, step->tokens, m, desk->halved);
    gated(m, desk->y, desk->x, step->tokens, layer->down.in);
    left(m, step, &layer->down, desk->x, layer->post_mlp, term, desk);
}

static void joined(const Model *m, void *hidden, const void *term, int64_t n) {
    if (m->half)
        for (int64_t i = 0; i < n; i++)
            ((bf16 *)hidden)[i] = narrow(widen(((bf16 *)hidden)[i]) + widen(((const bf16 *)term)[i]));
    else
        for (int64_t i = 0; i < n; i++) ((float *)hidden)[i] += ((const float *)term)[i];
}

/* Stages [first, last) of the stack, five a layer: z, the attention's term of z, hidden += term, the MLP's term,
 * hidden += term. hidden_TD, z_TX and term_TD are in the model's dtype. Layers with experts have no MLP here: the
 * caller makes its term and goes on behind it. `taps` stand before these stages or behind the last, in order. */
void run(const Model *m, const Layer *layers, const Step *step, int64_t first, int64_t last, void *hidden, void *z,
         void *term, float *room, const Tap *taps, int64_t count, const Writing *writing) {
    int64_t each = step->tokens * (widest(m) + 1);
    void *places[] = {hidden, z, term};
    float *aside = room + 3 * each;
    Desk desk = {room, room + each, aside + 4 * widest(m), (bf16 *)(room + 2 * each)};
    for (int64_t stage = first;; stage++) {
        for (; count && taps->stage == stage; taps++, count--)
            tapped(taps, writing, places[taps->place], m->half, aside);
        if (stage == last) return;
        const Layer *layer = layers + stage / 5;
        switch (stage % 5) {
            case 0: looked(m, layer, step, hidden, z, &desk); break;
            case 1:
                to_float(desk.x, z, step->tokens * m->heads * m->size, m->half);
                left(m, step, &layer->project, desk.x, layer->post_attention, term, &desk);
                break;
            case 3: thought(m, layer, step, hidden, term, &desk); break;
            default: joined(m, hidden, term, step->tokens * m->width);
        }
    }
}

/* --- experts ------------------------------------------------------------------------------------------------------ */

typedef struct { /* rows of one expert, one after the other */
    int64_t expert, first, rows;
} Group;

/* Groups of the experts that are used, their number returned; places[p] is the row of pair p of token and expert. */
static int64_t grouped(const int64_t *ids, int64_t pairs, int64_t count, Group *groups, int64_t *places) {
    int64_t used = 0, first = 0;
    for (int64_t e = 0; e < count; e++) groups[e] = (Group){e, 0, 0};
    for (int64_t p = 0; p < pairs; p++) groups[ids[p]].rows++;
    for (int64_t e = 0; e < count; e++) {
        groups[e].first = first;
        first += groups[e].rows;
    }
    for (int64_t p = 0; p < pairs; p++) places[p] = groups[ids[p]].first++;
    for (int64_t e = 0; e < count; e++)
        if (groups[e].rows) groups[used++] = (Group){e, groups[e].first - groups[e].rows, groups[e].rows};
    return used;
}

/* As `apply`, each group by its own expert. */
static void apply_each(const Model *m, const Linear *all, const Group *groups, int64_t used, const void *x, float *y) {
    int64_t in = m->half ? even(all->in) : all->in, panels = (all->out + PANEL - 1) / PANEL;
    size_t item = m->half ? sizeof(bf16) : sizeof(float);
#pragma omp parallel for if (m->threads > 1) num_threads(m->threads) schedule(static)
    for (int64_t i = 0; i < used * panels; i++) {
        const Group *group = groups + i / panels;
        const char *from = (const char *)x + group->first * in * item;
        panel_of(all + group->expert, i % panels, from, y + group->first * all->out, group->rows, m->half);
    }
}

/* term_TD: of each token, the sum over its k experts of weight times what that gated MLP makes of x_TD. ids_Tk are
 * below `count`; sums run in the order of k, whatever else is in the batch. 1 if there was no memory for it. */
int32_t experts(const Model *m, const Linear *gate_up, const Linear *down, int64_t count, int64_t k, const void *x,
                const int64_t *ids, const float *weights, void *term, int64_t tokens) {
    int64_t pairs = tokens * k, wide = down->in, width = down->out, deep = even(width);
    size_t item = m->half ? sizeof(bf16) : sizeof(float);
    float *rows = malloc(pairs * (deep + 3 * wide + 1) * sizeof *rows + 1), *both = rows + pairs * deep;
    float *inner = both + pairs * 2 * wide;
    Group *groups = malloc(count * sizeof *groups);
    int64_t *places = malloc(pairs * sizeof *places + 1);
    int32_t failed = rows == NULL || groups == NULL || places == NULL;
    if (!failed) {
        int64_t used = grouped(ids, pairs, count, groups, places), in = m->half ? deep : width;
        for (int64_t p = 0; p < pairs; p++) {
            char *to = (char *)rows + places[p] * in * item;
            if (in > width) memset(to + width * item, 0, item);
            memcpy(to, (const char *)x + p / k * width * item, width * item);
        }
        apply_each(m, gate_up, groups, used, rows, both);
        gated(m, both, inner, pairs, wide);
        if (m->half)
            for (int64_t p = 0; p < pairs; p++) {
                bf16 *to = (bf16 *)both + p * even(wide);
                to[even(wide) - 1] = 0;
                from_float(to, inner + p * wide, wide, 1);
            }
        apply_each(m, down, groups, used, m->half ? (void *)both : inner, rows);
        for (int64_t t = 0; t < tokens; t++) {
            float *sum = rows + places[t * k] * width; /* nobody else reads this row */
            for (int64_t i = 0; i < width; i++) sum[i] *= weights[t * k];
            for (int64_t j = 1; j < k; j++) {
                const float *more = rows + places[t * k + j] * width;
                for (int64_t i = 0; i < width; i++) sum[i] += weights[t * k + j] * more[i];
            }
            from_float((char *)term + t * width * item, sum, width, m->half);
        }
    }
    free(rows);
    free(groups);
    free(places);
    return failed;
}

/* --- one linear layer --------------------------------------------------------------------------------------------- */

/* Numbers (of the weight's kind) that the packed form of weight_OI has. */
int64_t packed_size(int64_t out, int64_t in, int32_t half) {
    return (out + PANEL - 1) / PANEL * PANEL * (half ? even(in) : in);
}

/* weight_OI as panels of PANEL outputs; `packed` is zeroed. */
void pack(const void *weight, void *packed, int64_t out, int64_t in, int32_t half) {
    int64_t deep = half ? even(in) : in;
    for (int64_t o = 0; o < out; o++)
        for (int64_t k = 0; k < in; k++) {
            int64_t panel = o / PANEL * PANEL * deep, column = o % PANEL;
            if (!half)
                ((float *)packed)[panel + k * PANEL + column] = ((const float *)weight)[o * in + k];
            else if (PAIRED)
                ((bf16 *)packed)[panel + k / 2 * 2 * PANEL + 2 * column + k % 2] = ((const bf16 *)weight)[o * in + k];
            else
                ((bf16 *)packed)[panel + k * PANEL + column] = ((const bf16 *)weight)[o * in + k];
        }
}

/* The opposite of `pack`. */
void unpack(const void *packed, void *weight, int64_t out, int64_t in, int32_t half) {
    int64_t deep = half ? even(in) : in;
    for (int64_t o = 0; o < out; o++)
        for (int64_t k = 0; k < in; k++) {
            int64_t panel = o / PANEL * PANEL * deep, column = o % PANEL;
            if (!half)
                ((float *)weight)[o * in + k] = ((const float *)packed)[panel + k * PANEL + column];
            else if (PAIRED)
                ((bf16 *)weight)[o * in + k] = ((const bf16 *)packed)[panel + k / 2 * 2 * PANEL + 2 * column + k % 2];
            else
                ((bf16 *)weight)[o * in + k] = ((const bf16 *)packed)[panel + k * PANEL + column];
        }
}

/* y_TO = x_TI W^T + b in the model's dtype; 1 if there was no memory for it. Of `model`, only half and threads count. */
int32_t linear(const Model *model, const Linear *layer, const void *x, void *y, int64_t tokens) {
    if (!model->half) {
        apply(layer, x, y, tokens, model, NULL);
        return 0;
    }
    int64_t in = tokens * even(layer->in), out = tokens * layer->out;
    float *room = malloc((2 * in + out) * sizeof *room);
    if (room == NULL) return 1;
    to_float(room, x, tokens * layer->in, 1);
    apply(layer, room, room + 2 * in, tokens, model, (bf16 *)(room + in));
    from_float(y, room + 2 * in, out, 1);
    free(room);
    return 0;
}

/* Numbers a vector holds, and whether bf16 products are native. */
int32_t lanes(void) { return LANES; }
int32_t paired(void) { return PAIRED; }
