/*
 * stack.c - numpy's rules of matrix products, for whoever multiplies matrices.
 *
 * Both sides are stacks: the last two axes are a matrix, those before broadcast against each other. Where
 * the right side is one matrix, a stack on the left is a single matrix with more rows, which is one large
 * product instead of many small ones. Else the products are listed, in the order of the result, by the
 * matrices that they take: a list, because axes of 1 on either side repeat matrices in any pattern.
 *
 * Not here: which numbers are multiplied and how (matmul.c, quant_matmul.c).
 */
#include "op/stack.h"

bool stack_inner(const struct step *step, int a, int b, int64_t left, int64_t right, struct percept_err *err)
{
    char one[128], other[128];
    const struct tensor *l = step->in[a], *r = step->in[b];
    if (left == right)
        return true;
    return err_set(err, ERR_INVALID, OP_AT "shapes %s and %s: the inner dimensions must be equal", OP_NODE(step->node),
                   tensor_shape_text(l->rank, l->dims, one, sizeof one),
                   tensor_shape_text(r->rank, r->dims, other, sizeof other));
}

bool stack_addend(const struct step *step, const struct tensor *c, int64_t m, int64_t n, int64_t *row, int64_t *column,
                  struct percept_err *err)
{
    const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;
    const int64_t rows = c->rank > 1 ? c->dims[c->rank - 2] : 1;
    if (c->rank > 2 || (columns != n && columns != 1) || (rows != m && rows != 1))
        return err_set(err, ERR_INVALID, OP_AT "C does not broadcast to [%lld,%lld]", OP_NODE(step->node), (long long)m,
                       (long long)n);
    *column = columns == 1 ? 0 : 1;
    *row = rows == 1 ? 0 : columns;
    return true;
}

/* The axes before the last two. */
static struct tensor lead_of(const struct tensor *t)
{
    struct tensor lead = {0};
    tensor_set_dims(&lead, t->rank > 2 ? t->rank - 2 : 0, t->dims);
    return lead;
}

/* The matrix of one side that product `item` takes. */
static int64_t matrix_at(const struct tensor *side, const struct tensor *lead, int64_t item)
{
    int64_t at = 0, each = 1;
    for (int d = lead->rank - 1, own = side->rank - 1; own >= 0; d--, own--) {
        at += side->dims[own] > 1 ? item % lead->dims[d] * each : 0;
        item /= lead->dims[d];
        each *= side->dims[own];
    }
    return at;
}

static bool list_items(const struct step *step, struct stack *stack, const struct tensor *a, const struct tensor *b,
                       const struct tensor *lead, struct percept_err *err)
{
    stack->batch = tensor_elements(lead);
    stack->items = arena_array(step->arena, (size_t)stack->batch + 1, 2 * sizeof *stack->items);
    if (!stack->items)
        return err_memory(err, "a product's list of matrices", (size_t)stack->batch * 16);
    for (int64_t i = 0; i < stack->batch; i++) {
        stack->items[2 * i] = matrix_at(a, lead, i);
        stack->items[2 * i + 1] = matrix_at(b, lead, i);
    }
    return true;
}

bool stack_shape(const struct step *step, int a, int b, struct stack *stack, struct percept_err *err)
{
    const struct tensor *left = step->in[a], *right = step->in[b];
    if (left->rank < 1 || right->rank < 1)
        return err_set(err, ERR_INVALID, OP_AT "a side of rank 0; 1 to %d work", OP_NODE(step->node), RANK_MAX);
    const struct tensor a_lead = lead_of(left), b_lead = lead_of(right);
    struct tensor lead = {0};
    *stack = (struct stack){.m = left->rank > 1 ? left->dims[left->rank - 2] : 1,
                            .k = left->dims[left->rank - 1],
                            .n = right->rank > 1 ? right->dims[right->rank - 1] : 1,
                            .matrices = tensor_elements(&b_lead),
                            .batch = 1};
    stack->rows = tensor_elements(&a_lead) * stack->m;
    const int64_t right_k = right->dims[right->rank > 1 ? right->rank - 2 : 0];
    if (!stack_inner(step, a, b, stack->k, right_k, err))
        return false;
    if (!tensor_broadcast(&a_lead, &b_lead, &lead.rank, lead.dims, err))
        return err_prefix(err, OP_AT, OP_NODE(step->node));
    for (; stack->rank < lead.rank; stack->rank++)
        stack->dims[stack->rank] = lead.dims[stack->rank];
    if (left->rank > 1)
        stack->dims[stack->rank++] = stack->m;
    if (right->rank > 1)
        stack->dims[stack->rank++] = stack->n;
    int64_t count;
    if (!tensor_count(stack->rank, stack->dims, &count))
        return err_set(err, ERR_INVALID, OP_AT "the product has more elements than can be counted",
                       OP_NODE(step->node));
    return stack->matrices == 1 || list_items(step, stack, &a_lead, &b_lead, &lead, err);
}
