/*
 * batch_axis.h - where the items of a batch lie in a node's outputs, when it is known for its inputs: what
 * the verb `batch` of a rule (op.h) is asked, and what most families answer with.
 *
 * A node is seen twice: in the plan of one item, and in that of `n` items of the same shapes. A place says how
 * a tensor of the second follows from that of the first:
 *
 *     MIXED    nothing is known of it, or items depend on each other
 *     SAME     its dims and elements are those of the one
 *     SHAPED   known from shapes alone, the batch's size among them, and not SAME
 *     INDEPENDENT  like the one but for an axis that is n times as long: along it lie the items in order, and what
 *              is item i's has the bits that it has when item i is alone
 *
 * What a verb claims is claimed for this pair of plans, whose dims and known elements it may look at: nothing
 * rests on a coincidence of sizes, since the engine asks again at each shape that is run (engine/items.c).
 *
 * An axis may hold the batch inside others that were merged with it: [T, N, C] seen as [T N, C]. So a place
 * has `before`: an index of the axis is (b n + item) rows + row, with b below `before`.
 *
 *     [N, C]       axis 0, before 1             [T N, C]     axis 0, before T
 *     [N T, C]     axis 0, before 1, T rows     [1, N, C]    axis 1, before 1
 *
 * Bits. A verb answers for the kernels behind it too: where the order of a sum would be another one with more
 * items beside it, what it does not say is INDEPENDENT.
 */
#ifndef OP_BATCH_AXIS_H
#define OP_BATCH_AXIS_H

#include "op/op.h"

enum batch_word { BATCH_MIXED = 0, BATCH_SAME, BATCH_SHAPED, BATCH_INDEPENDENT };

struct batch_place {
    enum batch_word word;
    int axis;       /* INDEPENDENT */
    int64_t before; /* INDEPENDENT: at least 1 */
};

struct batch_view {
    const struct step *one, *many; /* priv, dims; data where known from shapes. What is left out is NULL. */
    int64_t n;                     /* items of `many`, at least 2 */
    const struct batch_place *in;  /* [n_in]; SAME where left out. None is MIXED, one is not SAME. */
    struct batch_place *out;       /* [n_out]: MIXED before */
    int added;                     /* an input that a fusion adds to output 0, or -1 (batch_axis_added) */
    const char *why;               /* a few words on why it stays so: "sums over the batch" */
};

#define BATCH_AXIS_ORDER "sums in another order where items lie side by side"

static inline struct batch_place batch_axis_at(int axis, int64_t before)
{
    return (struct batch_place){BATCH_INDEPENDENT, axis, before};
}

/* INDEPENDENT both, and alike. */
bool batch_axis_same_place(struct batch_place a, struct batch_place b);

/* Inputs `from` on are SAME. */
bool batch_axis_others_same(struct batch_view *view, int from);

/* The same, and input `list` may follow from shapes: its effect is seen in the output's dims. */
bool batch_axis_others_known(struct batch_view *view, int from, int list);

/* Says why, and claims nothing. */
void batch_axis_mixes(struct batch_view *view, const char *why);

/* All outputs lie as `place`, and what is added does. */
void batch_axis_all(struct batch_view *view, struct batch_place place);

/* Said first: input `slot` (or -1) is no parameter, it is added to the result. */
void batch_axis_added(struct batch_view *view, int slot);

/* Input 0 is INDEPENDENT and the others are SAME: its place, else false. */
bool batch_axis_first(struct batch_view *view, struct batch_place *place);

/* --- answers of whole families: each is a verb, or the end of one ------------------------------------------------- */

/* Element by element with numpy's broadcasting, of all inputs. */
void batch_axis_elements(struct batch_view *view);

/* The same of inputs that are seen under other dims: [n_in]. */
void batch_axis_elements_of(struct batch_view *view, const struct tensor *const *seen);

/* The outputs are there already; input `slot` is combined with them element by element. */
void batch_axis_meets(struct batch_view *view, int slot);

/* Output axes are input 0's, which are handled apart from each other but those marked in `together`, along
 * which elements depend on each other; other inputs are SAME and have no say in which item is which.
 * `together` has input 0's rank. */
void batch_axis_keep(struct batch_view *view, const bool *together);

/* Along axes [0, first) of input 0 things are apart, from there on together: first is 1 for pictures
 * [N, C, ...]. Other inputs are SAME. */
void batch_axis_lead(struct batch_view *view, int first);
void batch_axis_items(struct batch_view *view);    /* first 1 */
void batch_axis_matrices(struct batch_view *view); /* but along the last two */
void batch_axis_each(struct batch_view *view);     /* along all */

/* Along all axes of input 0 but this one. */
void batch_axis_but(struct batch_view *view, int axis);

/* As batch_axis_but (negative: from the end), where the order of a sum depends on whether anything lies behind the
 * axis, as in kernel/accumulate.h. */
void batch_axis_along(struct batch_view *view, int64_t axis);

/* Does something lie behind `axis` both alone and with others, or neither time? */
bool batch_axis_same_order(const struct batch_view *view, int axis);

/* The axes that are marked become one element each, or vanish where dims are not kept. */
void batch_axis_reduced(struct batch_view *view, const bool *reduced, bool keepdims);

/* Every `stride`th input from `first` on, joined along an axis; the others are SAME. */
void batch_axis_joined(struct batch_view *view, int first, int stride, int64_t axis);

/* A side of a stack of matrix products, as it is multiplied. */
struct batch_side {
    struct batch_place place;
    struct tensor seen;
};

/* Stacks of products as in op/stack.h. any_size: bits depend neither on the number of rows nor of columns. */
void batch_axis_product(struct batch_view *view, const struct batch_side *a, const struct batch_side *b, bool any_size);

/* The elements in order under other dims. Inputs but the first are SAME or SHAPED. */
void batch_axis_in_order(struct batch_view *view);

/* Elements of an output that stays on the axis which holds the batch must be those of input 0 in order: are its
 * dims of input and output equal there? */
bool batch_axis_untouched(const struct batch_view *view, struct batch_place place);

/* What is filled with one number: INDEPENDENT along the axis that grows, or SAME. */
void batch_axis_filled(struct batch_view *view);

/* --- for the engine ----------------------------------------------------------------------------------------------- */

/* Do the dims of a tensor of both plans fit the place? Its layout must be the same too: sums follow it. */
bool batch_axis_fits(struct batch_place place, const struct tensor *one, const struct tensor *many, int64_t n);

/* The place of what is known in both plans, found by comparing elements. */
struct batch_place batch_axis_known(const struct tensor *one, const struct tensor *many, int64_t n);

#endif
