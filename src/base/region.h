/*
 * region.h - packed weights in shared memory: written once, published whole, read-only ever after,
 * shared by every process of the same user, cleaned up after crashes without anybody's help.
 *
 *     struct region *region = region_find(key, ...);            another's, or an orphan: adopted
 *     if (!region) {
 *         struct region_draft draft;
 *         region_begin(&draft, ...);  write into draft.data;  region = region_publish(&draft, ...);
 *     }
 *     ... region_data(region) ...
 *     region_release(region);                                   the last holder removes the name
 *
 * See region.c for the names, the locks and why. Threads: a region's holder may be any thread; the
 * memory is read-only.
 */
#ifndef BASE_REGION_H
#define BASE_REGION_H

#include "percept.h"

struct region;

struct region_key {
    uint8_t digest[16]; /* of everything the packed bytes depend on */
    const char *prefix; /* of the name under /dev/shm */
    const char *row;    /* for people: shown by `perceptd regions` */
    const char *model;
};

struct region_draft {
    void *data; /* 64-byte aligned, writable */
    size_t n_bytes;
    int fd;
    bool named;
    void *map;
    size_t map_bytes;
};

/* A published region with this key and size, held by us from now on; NULL when there is none. */
struct region *region_find(const struct region_key *key, size_t n_bytes);

/* Space for a new one. `named` asks for /dev/shm; where that is too small a private sealed memory is
 * used instead and draft->named says so. */
bool region_begin(struct region_draft *draft, size_t n_bytes, bool named, struct percept_err *err);

/* Makes the draft read-only and, if named, visible to others (or adopts theirs, if they were faster).
 * The draft is gone afterwards, also on failure. */
struct region *region_publish(struct region_draft *draft, const struct region_key *key,
                              struct percept_err *err);
void region_abandon(struct region_draft *draft);

const void *region_data(const struct region *region);
size_t region_bytes(const struct region *region);
const char *region_name(const struct region *region); /* "" when private */

/* Lets go; the last holder of a named region removes it. NULL is accepted. */
void region_release(struct region *region);

#endif
