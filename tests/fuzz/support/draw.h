/*
 * draw.h - decisions out of a fuzzer's bytes. When the bytes are used up, a generator seeded by
 * them goes on: a few bytes are a whole model already, and more of them steer it.
 */
#ifndef TESTS_FUZZ_DRAW_H
#define TESTS_FUZZ_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct draw {
    const uint8_t *at, *end;
    uint64_t state;
};

struct draw draw_of(const uint8_t *data, size_t n);
struct draw draw_seeded(uint64_t seed);

uint8_t draw_byte(struct draw *draw);
/* [0, n); n of 0 gives 0. */
uint64_t draw_below(struct draw *draw, uint64_t n);
/* True so many times out of a hundred. */
bool draw_chance(struct draw *draw, unsigned percent);
/* Small ones mostly, now and then one at the edge of a type. */
int64_t draw_number(struct draw *draw, int64_t least, int64_t most);
int64_t draw_edge(struct draw *draw);
float draw_float(struct draw *draw);
/* One of the words that '|' parts, copied. */
void draw_word(struct draw *draw, const char *words, char *word, size_t size);

#endif
