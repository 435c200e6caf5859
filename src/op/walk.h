/*
 * walk.h - going through tensors that are seen under a common shape: broadcast operands, and copies
 * whose source lies at strides. The shape is collapsed first: axes of 1 vanish, neighbours that lie
 * in one line in every operand become one, so that most walks are one or two long rows.
 *
 * Threads: everything lives on the caller's stack; team_split cuts the ranges.
 */
#ifndef OP_WALK_H
#define OP_WALK_H

#include "base/team.h"
#include "graph/tensor.h"

#define WALK_OPERANDS 3
#define WALK_RANK (2 * RANK_MAX) /* Tile and DepthToSpace see each axis as two */
#define WALK_GRAIN 16384         /* elements below which a range is not shared with helpers */

/* Broadcasting: operand k's element for an output element; inner strides are 0 or 1. */
struct walk {
    int rank; /* at least 1 after collapsing */
    int n;
    int64_t elements;
    int64_t dims[RANK_MAX];
    int64_t strides[WALK_OPERANDS][RANK_MAX];
};

/* The operands' dims must broadcast to the given ones, which were checked. */
void walk_make(struct walk *walk, int rank, const int64_t *dims, int n, const struct tensor *const *operands);

/* Calls visit for every row, cut at [from, to) elements of the output: output elements
 * [out, out + n), operand k from element at[k] on, at inner stride 0 or 1. */
typedef void walk_visit(void *arg, int64_t out, const int64_t *at, int64_t n);
void walk_range(const struct walk *walk, int64_t from, int64_t to, walk_visit *visit, void *arg);

static inline int64_t walk_inner(const struct walk *walk, int k)
{
    return walk->strides[k][walk->rank - 1];
}

/* A source at strides (in elements, any sign, 0 repeats), read in the order of `dims`. */
struct walk_view {
    int rank;
    int64_t dims[WALK_RANK];
    int64_t strides[WALK_RANK];
};

/* Appends an axis; axes are given outermost first. */
void walk_axis(struct walk_view *view, int64_t dim, int64_t stride);

/* Writes the view's elements densely to y. `size` is an element's bytes: 1, 2, 4, 8 or 16. */
void walk_copy(struct percept_team *team, void *y, const void *x, size_t size, const struct walk_view *view);

/* n elements of `size` bytes, all of them the one at x; the second for any number of them. */
void walk_fill(void *y, const void *x, size_t size, int64_t n);
void walk_fill_all(struct percept_team *team, void *y, const void *x, size_t size, int64_t n);

#endif
