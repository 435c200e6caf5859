/*
 * arena.h - grow-only memory with one free.
 *
 *     struct arena arena = {0};
 *     float *x = arena_array(&arena, n, sizeof *x);      NULL when memory is short
 *     arena_free(&arena);
 *
 * An arena is a list of blocks; the first allocation makes the first block. What it hands out is
 * zeroed, aligned to 64 bytes where the request is 64 bytes or more (else 16), and followed by at
 * least 64 readable bytes, which is what the kernels ask of every buffer (kernel/kernel.h).
 * Threads: an arena belongs to one thread at a time. arena.c is the only file that calls malloc.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
    struct arena_block *blocks;    /* newest first */
    struct percept_budget *budget; /* that blocks are taken from; those that are there stay as they are. NULL: none */
    size_t used_bytes;             /* handed out, for reports */
    size_t limit_bytes;            /* 0: none; an allocation past it fails */
};

void *arena_alloc(struct arena *arena, size_t n_bytes);
void *arena_array(struct arena *arena, size_t n, size_t size);   /* overflow gives NULL */
char *arena_text(struct arena *arena, const void *at, size_t n); /* copy, NUL-ended */
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Grows an array made by arena_alloc: in place if it was the last allocation, else a copy is made and
 * the old one is lost until the arena is freed. Doubling callers stay linear. */
void *arena_grow(struct arena *arena, void *old, size_t old_bytes, size_t new_bytes);

/* Frees everything; the arena may be used again. */
void arena_free(struct arena *arena);

/* Gives back about so many bytes (at least a page's), for a thread that has others to serve: hundreds of megabytes
 * take tens of ms. Until it says that nothing is left, no more than this and arena_free may be done to the arena. */
bool arena_free_part(struct arena *arena, size_t n_bytes);

/* Forgets everything handed out but keeps the largest block, for reuse in steady state. */
void arena_reset(struct arena *arena);

/* The C library keeps what was freed for what may come: back to the system with it. Some milliseconds; any thread. */
void arena_give_back(void);

/* A single long-lived buffer with its own life: aligned to 64 bytes, zeroed, 64 bytes of slack. */
void *arena_buffer(size_t n_bytes);
void *arena_buffer_from(struct percept_budget *budget, size_t n_bytes); /* the same, of a budget (or NULL) */
void arena_buffer_free(void *buffer);
size_t arena_buffer_bytes(void *buffer); /* as asked for */

/* As realloc: a larger or smaller copy, and the old one is freed; NULL leaves it. */
void *arena_buffer_grow(void *buffer, size_t n_bytes);

/* What another library takes when it may be given an allocator: arena_buffer for an array. */
void *arena_buffer_array(size_t n, size_t size);

/* n * size and a + b, or false when that does not fit. */
static inline bool arena_multiply(size_t n, size_t size, size_t *product)
{
    return !__builtin_mul_overflow(n, size, product);
}

/* Allocations that this thread was refused so far: tells whether a library that was given the functions
 * above failed for want of memory. */
size_t arena_refusals(void);

/* Counts calls into the C library's allocator by this file, for tests of "allocates nothing". */
size_t arena_calls(void);

/* Tests only: the n-th next call (from 1) fails, and all after it if `from_then_on`; 0 turns it off. */
void arena_fail_at(size_t nth, bool from_then_on);

#endif
