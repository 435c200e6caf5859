/*
 * arena.c - the only file that calls malloc and free (lint checks it).
 *
 *     struct arena_block | pad | handed out ... | free ... | slack 64
 *     ^ malloc                                  ^ used      ^ size
 *
 * Blocks double from 4 KiB; a request larger than that gets a block of its own. calloc gives zeroed
 * pages for large blocks without touching them. The failure counter is for torture tests and is the
 * reason why a test can let every allocation of a load fail in turn.
 */
#include "base/arena.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLACK 64
#define FIRST_BLOCK 4096
#define LARGEST_STEP ((size_t)1 << 20)

struct arena_block {
    struct arena_block *next;
    size_t size; /* of the whole block without slack */
    size_t used; /* from the block's start */
};

static atomic_size_t n_calls;
static atomic_size_t fail_in; /* 0: never */
static atomic_bool fail_on;

size_t arena_calls(void)
{
    return atomic_load(&n_calls);
}

void arena_fail_at(size_t nth, bool from_then_on)
{
    atomic_store(&fail_on, from_then_on);
    atomic_store(&fail_in, nth);
}

static void *take(size_t n_bytes)
{
    atomic_fetch_add(&n_calls, 1);
    size_t left = atomic_load(&fail_in);
    if (left) {
        if (left == 1) {
            if (!atomic_load(&fail_on))
                atomic_store(&fail_in, 0);
            return NULL;
        }
        atomic_store(&fail_in, left - 1);
    }
    return calloc(1, n_bytes);
}

static size_t align_up(size_t n, size_t to)
{
    return (n + to - 1) & ~(to - 1);
}

/* Where a request would start in this block: absolute addresses are aligned, not offsets. */
static size_t start_in(const struct arena_block *block, size_t n_bytes)
{
    uintptr_t base = (uintptr_t)block;
    return align_up(base + block->used, n_bytes >= 64 ? 64 : 16) - base;
}

void *arena_alloc(struct arena *arena, size_t n_bytes)
{
    if (n_bytes > SIZE_MAX / 4)
        return NULL;
    if (arena->limit_bytes && n_bytes > arena->limit_bytes - arena->used_bytes)
        return NULL;
    struct arena_block *block = arena->blocks;
    if (!block || start_in(block, n_bytes) + n_bytes > block->size) {
        size_t step = block ? block->size * 2 : FIRST_BLOCK;
        if (step > LARGEST_STEP)
            step = LARGEST_STEP;
        size_t need = sizeof *block + 64 + n_bytes;
        size_t size = need > step ? need : step;
        block = take(size + SLACK);
        if (!block)
            return NULL;
        block->size = size;
        block->used = sizeof *block;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    size_t start = start_in(block, n_bytes);
    block->used = start + n_bytes;
    arena->used_bytes += n_bytes;
    return (char *)block + start;
}

void *arena_array(struct arena *arena, size_t n, size_t size)
{
    size_t n_bytes;
    return arena_multiply(n, size, &n_bytes) ? arena_alloc(arena, n_bytes) : NULL;
}

char *arena_text(struct arena *arena, const void *at, size_t n)
{
    if (n == SIZE_MAX)
        return NULL;
    char *text = arena_alloc(arena, n + 1);
    if (text && n)
        memcpy(text, at, n);
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return NULL;
    char *text = arena_alloc(arena, (size_t)n + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

void *arena_grow(struct arena *arena, void *old, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes <= old_bytes)
        return old;
    struct arena_block *block = arena->blocks;
    if (old && block && (char *)old + old_bytes == (char *)block + block->used &&
        new_bytes - old_bytes <= block->size - block->used &&
        (!arena->limit_bytes || new_bytes - old_bytes <= arena->limit_bytes - arena->used_bytes)) {
        block->used += new_bytes - old_bytes;
        arena->used_bytes += new_bytes - old_bytes;
        return old;
    }
    void *fresh = arena_alloc(arena, new_bytes);
    if (fresh && old_bytes)
        memcpy(fresh, old, old_bytes);
    return fresh;
}

void arena_free(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena->blocks = NULL;
    arena->used_bytes = 0;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;
    for (struct arena_block *b = arena->blocks; b; b = b->next)
        if (b->size > keep->size)
            keep = b;
    struct arena_block *block = arena->blocks;
    while (block) {
        struct arena_block *next = block->next;
        if (block != keep)
            free(block);
        block = next;
    }
    if (keep) {
        keep->next = NULL;
        memset((char *)keep + sizeof *keep, 0, keep->used - sizeof *keep);
        keep->used = sizeof *keep;
    }
    arena->blocks = keep;
    arena->used_bytes = 0;
}

/*
 * A buffer's own header lies in the 64 bytes before it and remembers what calloc gave.
 */
void *arena_buffer(size_t n_bytes)
{
    if (n_bytes > SIZE_MAX / 4)
        return NULL;
    char *raw = take(n_bytes + 128 + SLACK);
    if (!raw)
        return NULL;
    char *at = (char *)align_up((uintptr_t)raw + 64, 64);
    memcpy(at - sizeof raw, &raw, sizeof raw);
    return at;
}

void arena_buffer_free(void *buffer)
{
    if (!buffer)
        return;
    char *raw;
    memcpy(&raw, (char *)buffer - sizeof raw, sizeof raw);
    free(raw);
}
