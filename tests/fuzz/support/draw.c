/* draw.c - see draw.h. */
#include "draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t step(uint64_t state)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^ state << 17;
}

struct draw draw_seeded(uint64_t seed)
{
    struct draw draw = {.state = seed * 0x9e3779b97f4a7c15u | 1};
    for (int i = 0; i < 4; i++)
        draw.state = step(draw.state);
    return draw;
}

struct draw draw_of(const uint8_t *data, size_t n)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ data[i]) * 1099511628211u;
    struct draw draw = draw_seeded(hash);
    draw.at = data;
    draw.end = data + n;
    return draw;
}

uint8_t draw_byte(struct draw *draw)
{
    if (draw->at != draw->end)
        return *draw->at++;
    draw->state = step(draw->state);
    return (uint8_t)(draw->state >> 32);
}

uint64_t draw_below(struct draw *draw, uint64_t n)
{
    uint64_t value = draw_byte(draw);
    for (uint64_t most = 256; most < n && most < (uint64_t)1 << 56; most <<= 8)
        value = value << 8 | draw_byte(draw);
    return n ? value % n : 0;
}

bool draw_chance(struct draw *draw, unsigned percent)
{
    return draw_byte(draw) * 100u < percent * 256u;
}

int64_t draw_edge(struct draw *draw)
{
    static const int64_t edges[] = {0,
                                    1,
                                    -1,
                                    2,
                                    7,
                                    8,
                                    64,
                                    127,
                                    128,
                                    255,
                                    65536,
                                    INT32_MAX,
                                    INT32_MIN,
                                    INT64_MAX,
                                    INT64_MIN,
                                    1ll << 31,
                                    1ll << 32,
                                    1ll << 40,
                                    -2,
                                    1ll << 61,
                                    INT64_MAX - 1,
                                    INT64_MIN + 1,
                                    1000003,
                                    4096};
    return edges[draw_below(draw, sizeof edges / sizeof *edges)];
}

int64_t draw_number(struct draw *draw, int64_t least, int64_t most)
{
    if (draw_chance(draw, 2))
        return draw_edge(draw);
    return least + (int64_t)draw_below(draw, (uint64_t)(most - least + 1));
}

float draw_float(struct draw *draw)
{
    static const float odd[] = {0,      -0.0f, 1,     -1,      INFINITY, -INFINITY, NAN,   1e30f,
                                1e-40f, 3e9f,  -3e9f, 9.3e18f, 65504,    0.5f,      -2.5f, 255};
    uint8_t byte = draw_byte(draw);
    if (byte < 16)
        return odd[byte];
    return (float)byte / 32.0f - 4.0f;
}

void draw_word(struct draw *draw, const char *words, char *word, size_t size)
{
    unsigned n = 1;
    for (const char *at = words; *at; at++)
        n += *at == '|';
    for (uint64_t skip = draw_below(draw, n); skip; skip--)
        words = strchr(words, '|') + 1;
    snprintf(word, size, "%.*s", (int)strcspn(words, "|"), words);
}
