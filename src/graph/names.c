/*
 * names.c - open addressing, at most half full, linear probing.
 *
 *     slots | hash, index + 1 | hash, index + 1 | 0, 0 | ...        8 bytes each
 *
 * Names come from files that strangers made, so the hash has a seed that they cannot know: where the
 * table lies in memory. Without one, a file of names that all collide would take quadratic time to
 * open. The hash is kept in the slot: growing needs no name, and a probe that passes strangers seldom
 * touches their text.
 */
#include "graph/names.h"

#include <limits.h>

#define FIRST_SLOTS 16

struct names_slot {
    uint32_t hash;
    uint32_t index; /* + 1; 0: free */
};

/* Both halves of the product, folded. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash_of(uint64_t seed, struct bytes name)
{
    uint64_t hash = seed ^ 0x9e3779b97f4a7c15u;
    size_t n = bytes_size(name);
    const uint8_t *at = name.at;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = fold(hash ^ word, seed ^ 0xd6e8feb86659fd93u);
    }
    uint64_t tail = 0;
    if (n)
        memcpy(&tail, at, n);
    hash = fold(hash ^ tail, seed ^ 0xa0761d6478bd642fu);
    hash = fold(hash ^ bytes_size(name), 0xe7037ed1a0b428dbu);
    return (uint32_t)hash;
}

static void put(struct names *names, struct names_slot slot)
{
    size_t i = slot.hash & (names->n_slots - 1);
    while (names->slots[i].index)
        i = (i + 1) & (names->n_slots - 1);
    names->slots[i] = slot;
}

static bool grow(struct names *names, struct arena *arena, size_t n_slots)
{
    struct names bigger = *names;
    bigger.slots = arena_array(arena, n_slots, sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    bigger.n_slots = n_slots;
    if (!names->slots)
        bigger.seed = fold((uintptr_t)bigger.slots, 0x9e3779b97f4a7c15u);
    for (size_t i = 0; i < names->n_slots; i++)
        if (names->slots[i].index)
            put(&bigger, names->slots[i]);
    *names = bigger;
    return true;
}

bool names_reserve(struct names *names, struct arena *arena, size_t n)
{
    if (n > INT_MAX - names->n)
        return false;
    size_t n_slots = names->n_slots ? names->n_slots : FIRST_SLOTS;
    while (n_slots < 2 * (names->n + n))
        n_slots *= 2;
    return n_slots == names->n_slots || grow(names, arena, n_slots);
}

bool names_add(struct names *names, struct arena *arena, struct bytes name, int index)
{
    if (!names_reserve(names, arena, 1))
        return false;
    put(names, (struct names_slot){hash_of(names->seed, name), (uint32_t)index + 1});
    names->n++;
    return true;
}

/* The slot of the name, or the free one where it would go. There is always a free one. */
static struct names_slot *probe(const struct names *names, const void *elements, size_t stride, struct bytes name,
                                uint32_t hash)
{
    size_t i = hash & (names->n_slots - 1);
    for (; names->slots[i].index; i = (i + 1) & (names->n_slots - 1)) {
        if (names->slots[i].hash != hash)
            continue;
        struct bytes found;
        memcpy(&found, (const char *)elements + (names->slots[i].index - 1) * stride, sizeof found);
        if (bytes_equal(found, name))
            break;
    }
    return &names->slots[i];
}

int names_claim(struct names *names, struct arena *arena, const void *elements, size_t stride, struct bytes name,
                int index)
{
    if (!names_reserve(names, arena, 1))
        return -1;
    uint32_t hash = hash_of(names->seed, name);
    struct names_slot *slot = probe(names, elements, stride, name, hash);
    if (slot->index)
        return (int)(slot->index - 1);
    *slot = (struct names_slot){hash, (uint32_t)index + 1};
    names->n++;
    return index;
}

int names_find(const struct names *names, const void *elements, size_t stride, struct bytes name)
{
    if (!names->n_slots)
        return -1;
    uint32_t hash = hash_of(names->seed, name);
    return (int)probe(names, elements, stride, name, hash)->index - 1;
}
