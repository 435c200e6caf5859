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
 *     region_release(region);                                   the last holder removes the name,
 *                                                               unless region_keep marked it
 *
 * See region.c for the names, the locks and why. Threads: a region's holder may be any thread; the
 * memory is read-only.
 */
#ifndef BASE_REGION_H
#define BASE_REGION_H

#include "base/file.h"
#include "percept.h"

struct region;

struct region_key {
    uint8_t digest[16]; /* of everything the packed bytes depend on */
    const char *prefix; /* of the name under /dev/shm */
    const char *level;  /* for people: shown by `perceptd regions` */
    const char *model;
    const char *build; /* another one's regions cannot be adopted; NULL: "" */
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

/* Space for a new one. With a key in /dev/shm; where that is too small kept regions that nobody
 * holds make way, and then, or without a key, private sealed memory is used and draft->named says
 * so. */
bool region_begin(struct region_draft *draft, size_t n_bytes, const struct region_key *key, struct percept_err *err);

/* Makes the draft read-only and, if named, visible to others (or adopts theirs, if they were faster).
 * The draft is gone afterwards, also on failure. */
struct region *region_publish(struct region_draft *draft, const struct region_key *key, struct percept_err *err);
void region_abandon(struct region_draft *draft);

const void *region_data(const struct region *region);
size_t region_bytes(const struct region *region);
const char *region_name(const struct region *region); /* "" when private */

/* Marks it as kept, now and when it is released: the last holder does not remove it. Kept regions
 * that nobody holds and that this one replaces, of the same file or another build, are removed. A
 * private one or NULL: nothing. */
void region_keep(struct region *region);

/* What a file's bytes hash to, noted while a region holds them packed, so that whoever opens the same file next need
 * not read it: found by device and inode, true for this size and these times alone. */
struct region_note {
    struct file_stamp stamp;
    int64_t looked_ns; /* CLOCK_REALTIME before the bytes were read, when it was this stamp already */
    uint8_t digest[16];
};

#define NOTE_REST_NS INT64_C(2000000000)

/* The note about the file with note->stamp, if somebody made one under this prefix and it can be trusted. */
bool region_recall(const char *prefix, struct region_note *note);

/* Makes the note, or holds the one that is there already, as long as the region is held and as it is kept. Nothing is
 * done for a private region or NULL, for a file that changed less than NOTE_REST_NS before it was looked at (its times
 * may not tell the next change), and where it fails. */
void region_remember(struct region *region, const struct region_note *note);

/* Lets go; the last holder of a named region that is not kept removes it. NULL is accepted. */
void region_release(struct region *region);

#endif
