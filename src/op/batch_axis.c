/* batch_axis.c - see batch_axis.h: the arithmetic of places, and the answers of whole families. */
#include "op/batch_axis.h"

#include <string.h>

bool batch_axis_same_place(struct batch_place a, struct batch_place b)
{
    return a.word == BATCH_INDEPENDENT && b.word == BATCH_INDEPENDENT && a.axis == b.axis && a.before == b.before;
}

void batch_axis_mixes(struct batch_view *view, const char *why)
{
    view->why = why;
    for (int o = 0; o < view->many->n_out; o++)
        view->out[o] = (struct batch_place){.word = BATCH_MIXED};
}

void batch_axis_all(struct batch_view *view, struct batch_place place)
{
    if (view->added >= 0 && !batch_axis_same_place(view->in[view->added], place)) {
        batch_axis_mixes(view, "what is added lies another way");
        return;
    }
    for (int o = 0; o < view->many->n_out; o++)
        view->out[o] = place;
}

void batch_axis_added(struct batch_view *view, int slot)
{
    view->added = slot;
}

bool batch_axis_others_known(struct batch_view *view, int from, int list)
{
    for (int i = from; i < view->many->n_in; i++)
        if (i != view->added && view->in[i].word != BATCH_SAME && !(i == list && view->in[i].word == BATCH_SHAPED)) {
            view->why = view->in[i].word == BATCH_INDEPENDENT ? "takes its parameters from the batch"
                                                              : "its parameters depend on the batch's size";
            return false;
        }
    return true;
}

bool batch_axis_others_same(struct batch_view *view, int from)
{
    return batch_axis_others_known(view, from, -1);
}

bool batch_axis_first(struct batch_view *view, struct batch_place *place)
{
    *place = view->in[0];
    if (!batch_axis_others_same(view, 1))
        return false;
    if (place->word != BATCH_INDEPENDENT)
        view->why = "its input depends on the batch's size";
    return place->word == BATCH_INDEPENDENT;
}

bool batch_axis_fits(struct batch_place place, const struct tensor *one, const struct tensor *many, int64_t n)
{
    if (one->rank != many->rank || one->dtype != many->dtype || one->layout != many->layout)
        return false;
    const bool independent = place.word == BATCH_INDEPENDENT;
    if (independent &&
        (place.axis < 0 || place.axis >= one->rank || place.before < 1 || one->dims[place.axis] % place.before != 0))
        return false;
    for (int d = 0; d < one->rank; d++)
        if (many->dims[d] != one->dims[d] * (independent && d == place.axis ? n : 1))
            return false;
    return true;
}

/* many's elements are one's, n times over in the middle: [outer][n][inner bytes]. */
static bool repeats(const struct tensor *one, const struct tensor *many, int64_t outer, int64_t n, size_t inner)
{
    const char *from = one->data, *to = many->data;
    for (int64_t o = 0; o < outer; o++, from += inner)
        for (int64_t i = 0; i < n; i++, to += inner)
            if (inner && memcmp(from, to, inner) != 0)
                return false;
    return true;
}

struct batch_place batch_axis_known(const struct tensor *one, const struct tensor *many, int64_t n)
{
    const struct batch_place shaped = {.word = BATCH_SHAPED}, same = {.word = BATCH_SAME};
    int axis = -1;
    if (one->data == many->data && batch_axis_fits(same, one, many, n))
        return same;
    if (one->rank != many->rank || one->dtype != many->dtype || one->dtype == PERCEPT_STRING)
        return shaped;
    for (int d = 0; d < one->rank; d++) {
        if (one->dims[d] == many->dims[d])
            continue;
        if (axis >= 0)
            return shaped;
        axis = d;
    }
    const size_t size = tensor_dtype_bytes(one->dtype);
    if (axis < 0)
        return repeats(one, many, 1, 1, size * (size_t)tensor_elements(one)) ? same : shaped;
    const struct batch_place independent = batch_axis_at(axis, 1);
    return batch_axis_fits(independent, one, many, n) &&
                   repeats(one, many, tensor_span(one, 0, axis), n, size * (size_t)tensor_span(one, axis, one->rank))
               ? independent
               : shaped;
}

/* --- element by element ------------------------------------------------------------------------------------------- */

/* An output that somebody wants: the others' dims are not known. */
static const struct tensor *wanted(const struct batch_view *view)
{
    int o = 0;
    while (o < view->many->n_out - 1 && view->many->node->out[o] < 0)
        o++;
    return view->many->out[o];
}

/* Where the items of operand i come to lie in the output; `own` is the output's axis in the operand's terms. */
static bool meets(const struct batch_view *view, int i, const struct tensor *seen, struct batch_place place)
{
    const struct tensor *y = view->many->out[0];
    const int own = place.axis - (y->rank - seen->rank);
    if (view->in[i].word == BATCH_INDEPENDENT)
        return own == view->in[i].axis && view->in[i].before == place.before && seen->dims[own] == y->dims[place.axis];
    return view->in[i].word == BATCH_SAME && (own < 0 || seen->dims[own] == 1);
}

void batch_axis_elements_of(struct batch_view *view, const struct tensor *const *seen)
{
    struct batch_place place = {.word = BATCH_MIXED};
    for (int i = 0; i < view->many->n_in && place.word == BATCH_MIXED; i++)
        if (view->in[i].word == BATCH_INDEPENDENT)
            place = batch_axis_at(view->in[i].axis + view->many->out[0]->rank - seen[i]->rank, view->in[i].before);
    for (int i = 0; i < view->many->n_in; i++) {
        if (!seen[i] || (place.word == BATCH_INDEPENDENT && meets(view, i, seen[i], place)))
            continue;
        batch_axis_mixes(view, view->in[i].word == BATCH_SHAPED ? "computes with the batch's size"
                               : view->in[i].word == BATCH_SAME
                                   ? "what is fixed has an axis of its own where the batch is"
                                   : "combines items along different axes");
        return;
    }
    batch_axis_all(view, place);
}

void batch_axis_elements(struct batch_view *view)
{
    batch_axis_elements_of(view, (const struct tensor *const *)view->many->in);
}

void batch_axis_meets(struct batch_view *view, int slot)
{
    if (view->out[0].word == BATCH_INDEPENDENT && !meets(view, slot, view->many->in[slot], view->out[0]))
        batch_axis_mixes(view, "what is added lies another way");
}

/* --- axis by axis ------------------------------------------------------------------------------------------------- */

bool batch_axis_untouched(const struct batch_view *view, struct batch_place place)
{
    const struct tensor *x = view->many->in[0], *y = wanted(view);
    return place.axis < y->rank && x->dims[place.axis] == y->dims[place.axis];
}

void batch_axis_keep(struct batch_view *view, const bool *together)
{
    struct batch_place place;
    if (!batch_axis_first(view, &place))
        return;
    if (together[place.axis])
        batch_axis_mixes(view, "works along the batch");
    else if (!batch_axis_untouched(view, place))
        batch_axis_mixes(view, "changes how many there are along the batch");
    else
        batch_axis_all(view, place);
}

void batch_axis_lead(struct batch_view *view, int first)
{
    bool together[RANK_MAX];
    for (int d = 0; d < RANK_MAX; d++)
        together[d] = d >= first;
    batch_axis_keep(view, together);
}

void batch_axis_items(struct batch_view *view)
{
    batch_axis_lead(view, 1);
}

void batch_axis_matrices(struct batch_view *view)
{
    batch_axis_lead(view, view->many->in[0]->rank - 2);
}

void batch_axis_each(struct batch_view *view)
{
    batch_axis_lead(view, RANK_MAX);
}

void batch_axis_but(struct batch_view *view, int axis)
{
    bool together[RANK_MAX] = {false};
    together[axis] = true;
    batch_axis_keep(view, together);
}

bool batch_axis_same_order(const struct batch_view *view, int axis)
{
    const struct tensor *one = view->one->in[0], *many = view->many->in[0];
    return (tensor_span(one, axis + 1, one->rank) == 1) == (tensor_span(many, axis + 1, many->rank) == 1);
}

void batch_axis_along(struct batch_view *view, int64_t axis)
{
    const int rank = view->many->in[0]->rank;
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank)
        return;
    if (batch_axis_same_order(view, (int)axis))
        batch_axis_but(view, (int)axis);
    else
        batch_axis_mixes(view, BATCH_AXIS_ORDER);
}

void batch_axis_reduced(struct batch_view *view, const bool *reduced, bool keepdims)
{
    struct batch_place place;
    if (!batch_axis_first(view, &place))
        return;
    if (reduced[place.axis]) {
        batch_axis_mixes(view, "reduces over the batch");
        return;
    }
    int gone = 0;
    for (int d = 0; d < place.axis; d++)
        gone += reduced[d] && !keepdims;
    batch_axis_all(view, batch_axis_at(place.axis - gone, place.before));
}

void batch_axis_joined(struct batch_view *view, int first, int stride, int64_t axis)
{
    const struct batch_place place = view->in[first];
    axis += axis < 0 ? view->many->in[first]->rank : 0;
    for (int i = 0; i < view->many->n_in; i++) {
        const bool part = i >= first && (i - first) % stride == 0;
        if (part ? !batch_axis_same_place(view->in[i], place) : view->in[i].word != BATCH_SAME) {
            batch_axis_mixes(view, "joins what lies in other ways");
            return;
        }
    }
    if (place.axis == axis)
        batch_axis_mixes(view, "joins along the batch");
    else
        batch_axis_all(view, place);
}

/* --- products ----------------------------------------------------------------------------------------------------- */

/* An axis of a side from the right: 0 and 1 are the matrix, those above the stack. A vector is a row on the
 * left, a column on the right. */
static int from_right(const struct batch_side *side, bool left)
{
    const int at = side->seen.rank - 1 - side->place.axis;
    return side->seen.rank == 1 && !left ? 1 : at;
}

/* Is axis `at` of the stack the same for every product of this side, or its items'? */
static bool stack_meets(const struct batch_side *side, int at, struct batch_place place, bool left)
{
    if (side->place.word == BATCH_INDEPENDENT)
        return from_right(side, left) == at && side->place.before == place.before;
    return side->place.word == BATCH_SAME && (at >= side->seen.rank || side->seen.dims[side->seen.rank - 1 - at] == 1);
}

void batch_axis_product(struct batch_view *view, const struct batch_side *a, const struct batch_side *b, bool any_size)
{
    const int stacked = view->many->out[0]->rank - (a->seen.rank > 1) - (b->seen.rank > 1);
    const bool left = a->place.word == BATCH_INDEPENDENT;
    const struct batch_side *side = left ? a : b, *other = left ? b : a;
    if (side->place.word != BATCH_INDEPENDENT) {
        batch_axis_mixes(view, "its sides depend on the batch's size");
        return;
    }
    const int at = from_right(side, left);
    const bool summed = at == (left ? 0 : 1), matrix = at < 2;
    if (summed)
        batch_axis_mixes(view, "sums over the batch");
    else if (matrix ? other->place.word != BATCH_SAME : !stack_meets(other, at, side->place, !left))
        batch_axis_mixes(view, "multiplies items with each other");
    else if (matrix && !any_size)
        batch_axis_mixes(view, "its bits change with the number of rows");
    else
        batch_axis_all(view,
                       batch_axis_at(matrix ? left ? stacked : view->many->out[0]->rank - 1 : stacked - 1 - (at - 2),
                                     side->place.before));
}

/* --- in order ----------------------------------------------------------------------------------------------------- */

void batch_axis_in_order(struct batch_view *view)
{
    const struct tensor *x = view->many->in[0], *y = view->many->out[0];
    const struct batch_place from = view->in[0];
    for (int i = 1; i < view->many->n_in; i++)
        if (view->in[i].word == BATCH_INDEPENDENT) {
            batch_axis_mixes(view, "takes its parameters from the batch");
            return;
        }
    if (from.word != BATCH_INDEPENDENT) {
        batch_axis_mixes(view, "its input depends on the batch's size");
        return;
    }
    const int64_t outer = tensor_span(x, 0, from.axis) * from.before;
    int64_t lead = 1; /* of the output's axes before d */
    for (int d = 0; d < y->rank && lead > 0 && outer % lead == 0; lead *= y->dims[d++]) {
        const struct batch_place place = batch_axis_at(d, outer / lead);
        if (batch_axis_fits(place, view->one->out[0], y, view->n)) {
            batch_axis_all(view, place);
            return;
        }
    }
    batch_axis_mixes(view, "the items do not lie along one axis behind it");
}

void batch_axis_filled(struct batch_view *view)
{
    const struct tensor *one = view->one->out[0], *many = view->many->out[0];
    for (int d = 0; d < one->rank && one->rank == many->rank; d++)
        if (one->dims[d] != many->dims[d]) {
            batch_axis_all(view, batch_axis_at(d, 1));
            return;
        }
    batch_axis_all(view, (struct batch_place){.word = BATCH_SAME});
}
