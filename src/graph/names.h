/*
 * names.h - finds things by name: a hash table from text to the index of an element in an array that
 * somebody else owns and whose elements begin with their name (a struct bytes).
 *
 *     struct names names = {0};
 *     names_add(&names, arena, things[i].name, i);
 *     int i = names_find(&names, things, sizeof *things, name);
 *
 * The table lives in the arena given. It cannot forget. Of equal names the first added is found.
 */
#ifndef GRAPH_NAMES_H
#define GRAPH_NAMES_H

#include "base/arena.h"
#include "base/bytes.h"

struct names_slot;

struct names {
    struct names_slot *slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t n;
    uint64_t seed;
};

/* Adds without asking whether the name is there. False when memory is short; the table is then as before. */
bool names_add(struct names *names, struct arena *arena, struct bytes name, int index);

/* Adds unless the name is there: the index that the name has now, or -1 when memory is short. */
int names_claim(struct names *names, struct arena *arena, const void *elements, size_t stride, struct bytes name,
                int index);

/* Room for n more without growing. */
bool names_reserve(struct names *names, struct arena *arena, size_t n);

/* The index, or -1. */
int names_find(const struct names *names, const void *elements, size_t stride, struct bytes name);

#endif
