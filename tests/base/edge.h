/*
 * edge.h - bytes that end where memory ends: whoever reads one more is killed.
 *
 *     struct edge edge = edge_new();
 *     sha256(edge_bytes(&edge, "abc", 3), digest);
 *     edge_free(&edge);
 */
#ifndef TESTS_BASE_EDGE_H
#define TESTS_BASE_EDGE_H

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"

struct edge {
    uint8_t *map;
    size_t page; /* the second one is unreadable */
};

static inline struct edge edge_new(void)
{
    struct edge edge = {.page = (size_t)sysconf(_SC_PAGESIZE)};
    edge.map = mmap(NULL, 2 * edge.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(edge.map, MAP_FAILED);
    ck_assert_int_eq(mprotect(edge.map + edge.page, edge.page, PROT_NONE), 0);
    return edge;
}

/* At most a page of them; until the next call. */
static inline struct bytes edge_bytes(struct edge *edge, const void *at, size_t n)
{
    ck_assert_uint_le(n, edge->page);
    return bytes_of(n ? memcpy(edge->map + edge->page - n, at, n) : edge->map + edge->page, n);
}

static inline void edge_free(struct edge *edge)
{
    munmap(edge->map, 2 * edge->page);
}

#endif
