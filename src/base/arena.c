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

#include "base/budget.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLACK 64
#define FIRST_BLOCK 4096
#define LARGEST_STEP ((size_t)1 << 20)

struct arena_block {
    struct arena_block *next;
    size_t size; /* of the whole block without slack */
    size_t used; /* from the block's start */
    struct percept_budget *budget;
};

static atomic_size_t n_calls;
static atomic_size_t fail_in; /* 0: never */
static atomic_bool fail_on;

static _Thread_local size_t n_refusals;

size_t arena_refusals(void)
{
    return n_refusals;
}

size_t arena_calls(void)
{
    return atomic_load(&n_calls);
}

void arena_fail_at(size_t nth, bool from_then_on)
{
    atomic_store(&fail_on, from_then_on);
    atomic_store(&fail_in, nth);
}

/* Is it this one's turn to fail? */
static bool told_to_fail(void)
{
    size_t left = atomic_load(&fail_in);
    if (left > 1)
        atomic_store(&fail_in, left - 1);
    if (left == 1 && !atomic_load(&fail_on))
        atomic_store(&fail_in, 0);
    return left == 1;
}

static void *take(size_t n_bytes)
{
    atomic_fetch_add(&n_calls, 1);
    void *at = told_to_fail() ? NULL : calloc(1, n_bytes);
    n_refusals += !at;
    return at;
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

static struct arena_block *block_new(struct arena *arena, size_t size)
{
    if (!budget_take(arena->budget, size))
        return NULL;
    struct arena_block *block = take(size + SLACK);
    if (!block) {
        budget_give(arena->budget, size);
        return NULL;
    }
    *block = (struct arena_block){.next = arena->blocks, .size = size, .used = sizeof *block, .budget = arena->budget};
    return block;
}

static void block_free(struct arena_block *block)
{
    budget_give(block->budget, block->size);
    free(block);
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
        block = block_new(arena, size);
        if (!block)
            return NULL;
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
    char small[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0)
        return NULL;
    if ((size_t)n < sizeof small)
        return arena_text(arena, small, (size_t)n);
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
        block_free(block);
        block = next;
    }
    arena->blocks = NULL;
    arena->used_bytes = 0;
}

/* Pages at the end of a block go first: what is left of it is a smaller block. */
static void drop_end(struct arena_block *block, size_t n_bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), end = (uintptr_t)block + block->size;
    const uintptr_t from = (end - n_bytes + page - 1) & ~(page - 1), to = end & ~(page - 1);
    if (from < to)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
    block->size -= n_bytes;
    budget_give(block->budget, n_bytes);
}

bool arena_free_part(struct arena *arena, size_t n_bytes)
{
    while (arena->blocks && arena->blocks->size <= n_bytes + sizeof *arena->blocks) {
        struct arena_block *block = arena->blocks;
        n_bytes -= block->size < n_bytes ? block->size : n_bytes;
        arena->blocks = block->next;
        block_free(block);
    }
    if (arena->blocks) {
        drop_end(arena->blocks, n_bytes);
        return false;
    }
    arena->used_bytes = 0;
    return true;
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
            block_free(block);
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

void arena_give_back(void)
{
    malloc_trim(0);
}

/*
 * A buffer's own header lies in the 64 bytes before it and remembers what calloc gave, and how much
 * was asked for.
 */
struct buffer_head {
    char *raw;
    size_t n_bytes;
    struct percept_budget *budget;
};

static struct buffer_head *head_of(void *buffer)
{
    return (struct buffer_head *)(void *)((char *)buffer - sizeof(struct buffer_head));
}

void *arena_buffer_from(struct percept_budget *budget, size_t n_bytes)
{
    if (n_bytes > SIZE_MAX / 4 || !budget_take(budget, n_bytes))
        return NULL;
    char *raw = take(n_bytes + 128 + SLACK);
    if (!raw) {
        budget_give(budget, n_bytes);
        return NULL;
    }
    char *at = (char *)align_up((uintptr_t)raw + 64, 64);
    *head_of(at) = (struct buffer_head){.raw = raw, .n_bytes = n_bytes, .budget = budget};
    return at;
}

void *arena_buffer(size_t n_bytes)
{
    return arena_buffer_from(NULL, n_bytes);
}

size_t arena_buffer_bytes(void *buffer)
{
    return head_of(buffer)->n_bytes;
}

void *arena_buffer_array(size_t n, size_t size)
{
    size_t n_bytes;
    return arena_multiply(n, size, &n_bytes) ? arena_buffer(n_bytes) : NULL;
}

void *arena_buffer_grow(void *buffer, size_t n_bytes)
{
    void *fresh = arena_buffer(n_bytes);
    if (fresh && buffer) {
        size_t old_bytes = head_of(buffer)->n_bytes;
        memcpy(fresh, buffer, old_bytes < n_bytes ? old_bytes : n_bytes);
        arena_buffer_free(buffer);
    }
    return fresh;
}

void arena_buffer_free(void *buffer)
{
    if (!buffer)
        return;
    budget_give(head_of(buffer)->budget, head_of(buffer)->n_bytes);
    free(head_of(buffer)->raw);
}
