/*
 * einsum.c - Einsum: sums of products, written as an equation of labels.
 *
 *     "bhid,bhjd->bhij"     "...ii->...i"     "ij,jk,kl"
 *
 * A label is a small number: 'A' to 'Z' 0 to 25, 'a' to 'z' 26 to 51, and the axes behind an
 * ellipsis from the right 59, 58 and so on. An operand is a view: an axis per label, with
 * strides, so a repeated label (a diagonal) is one axis whose stride is the sum of both. An axis
 * of 1 that others have longer is dropped: what lies there is the same all along.
 *
 * Operands are taken from left to right, two at a time. Their labels fall in four classes:
 *
 *     batch  in both, needed later       [batch][m][k]  times  [batch][k][n]  is  [batch][m][n]
 *     k      in both, summed here
 *     m, n   in one of them              what only one has and nobody needs is summed beforehand
 *
 * Shape plans this as a list of stages (gathers into such an order where a view does not lie so
 * already, then products) with their places in scratch; run walks over it. Products of floats
 * over k > 1 go through the row's own gemm, the right side packed per matrix, because its bits
 * depend on no size but k. Doubles and integers (which wrap) take plain loops.
 *
 * Work is split over matrices, over rectangles of large ones (product.c), over elements. Thread: loader, then the
 * session's holder with its team. Does not look for the cheapest order of operands.
 */
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/product.h"
#include "op/walk.h"
#include "op/weights.h"

#include <string.h>

#define LABELS 60
#define LABEL_NONE (-1)
#define LABEL_ELLIPSIS 60 /* in a term: all the axes it does not name */
#define TERM_MAX (RANK_MAX + 1)
#define VIEW_MAX WALK_RANK              /* axes of an operand or of what lies between */
#define EINSUM_ALONE ((int64_t)1 << 25) /* multiply-adds from which on a matrix of a stack is a product by itself */

_Static_assert(52 + RANK_MAX <= LABELS, "an ellipsis has a label per axis");

struct term {
    int n;
    int labels[TERM_MAX];
};

struct einsum {
    int n;
    struct term *terms; /* of the inputs */
    struct term output;
};

struct view {
    int buffer; /* input, or LABEL_NONE: at `offset` in scratch */
    size_t offset;
    int rank;
    int labels[VIEW_MAX];
    int64_t dims[VIEW_MAX], strides[VIEW_MAX];
};

/* Where a stage reads or writes: an input, scratch, or the output. */
enum { AT_SCRATCH = -1, AT_OUTPUT = -2 };

struct place {
    int buffer;
    size_t offset;
};

struct stage {
    bool product;
    struct place a, b, y;
    /* a gather: the axes that stay, then those that are summed */
    struct walk_view kept, summed;
    /* a product */
    int64_t batch, m, n, k;
    bool turned; /* b lies as [batch][n][k] */
};

struct einsum_plan {
    bool zeros; /* a sum of nothing */
    int n_stages;
    struct stage *stages;
    size_t pack_at, pack_bytes; /* a packed right side per member */
};

/* --- check: the equation ------------------------------------------------------------------------------------------ */

static int label_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    return c >= 'a' && c <= 'z' ? c - 'a' + 26 : LABEL_NONE;
}

static bool has_label(const struct term *term, int label)
{
    for (int i = 0; i < term->n; i++) {
        if (term->labels[i] == label)
            return true;
    }
    return false;
}

static bool bad_equation(const struct node_ctx *ctx, struct bytes equation, const char *why, struct percept_err *err)
{
    return err_set(err, ERR_MODEL, OP_AT "equation '" BYTES_FMT "': %s", OP_NODE(ctx->node), BYTES_ARG(equation), why);
}

/* The labels from *at up to a comma, an arrow or the end. */
static const char *read_term(struct bytes equation, const uint8_t **at, struct term *term)
{
    for (; *at < equation.end && **at != ',' && **at != '-'; ++*at) {
        int label = label_of(**at);
        if (**at == ' ')
            continue;
        if (**at == '.') {
            if (equation.end - *at < 3 || (*at)[1] != '.' || (*at)[2] != '.')
                return "a '.' that is no ellipsis";
            if (has_label(term, LABEL_ELLIPSIS))
                return "two ellipses in one term";
            *at += 2;
            label = LABEL_ELLIPSIS;
        }
        if (label == LABEL_NONE)
            return "a character that is no letter";
        if (term->n == TERM_MAX)
            return "a term with more labels than a tensor has axes";
        term->labels[term->n++] = label;
    }
    return NULL;
}

/* Without an arrow: the ellipsis, then every letter that occurs once, in alphabetical order. */
static const char *implicit_output(const struct einsum *einsum, struct term *output)
{
    int times[LABEL_ELLIPSIS + 1] = {0};
    for (int i = 0; i < einsum->n; i++) {
        for (int k = 0; k < einsum->terms[i].n; k++)
            times[einsum->terms[i].labels[k]]++;
    }
    if (times[LABEL_ELLIPSIS])
        output->labels[output->n++] = LABEL_ELLIPSIS;
    for (int label = 0; label < LABELS; label++) {
        if (times[label] != 1)
            continue;
        if (output->n == TERM_MAX)
            return "a result with more labels than a tensor has axes";
        output->labels[output->n++] = label;
    }
    return NULL;
}

static const char *judge_output(const struct einsum *einsum)
{
    const struct term *output = &einsum->output;
    for (int i = 0; i < output->n; i++) {
        bool known = output->labels[i] == LABEL_ELLIPSIS;
        for (int k = 0; !known && k < einsum->n; k++)
            known = has_label(&einsum->terms[k], output->labels[i]);
        if (!known)
            return "a label of the result occurs in no input";
        for (int k = 0; k < i; k++) {
            if (output->labels[k] == output->labels[i])
                return "a label occurs twice in the result";
        }
    }
    return NULL;
}

static const char *read_equation(struct einsum *einsum, struct bytes equation)
{
    const uint8_t *at = equation.at;
    const char *why = NULL;
    for (int i = 0; i < einsum->n; i++) {
        if (i > 0 && (at == equation.end || *at++ != ','))
            return "fewer terms than inputs";
        why = read_term(equation, &at, &einsum->terms[i]);
        if (why)
            return why;
    }
    if (at == equation.end) {
        why = implicit_output(einsum, &einsum->output);
        return why ? why : judge_output(einsum);
    }
    if (equation.end - at < 2 || at[0] != '-' || at[1] != '>')
        return *at == ',' ? "more terms than inputs" : "a '-' that is no arrow";
    at += 2;
    why = read_term(equation, &at, &einsum->output);
    if (why)
        return why;
    return at == equation.end ? judge_output(einsum) : "something after the result";
}

static bool einsum_check(struct node_ctx *ctx, struct percept_err *err)
{
    const struct node *node = ctx->node;
    struct einsum *einsum = op_priv(ctx, sizeof *einsum, err);
    if (!einsum)
        return false;
    if (!op_arity(ctx, 1, INT32_MAX, 1, err))
        return false;
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] < 0)
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out and is needed", OP_NODE(node), i);
    }
    einsum->n = node->n_in;
    einsum->terms = arena_array(ctx->arena, (size_t)einsum->n, sizeof *einsum->terms);
    if (!einsum->terms)
        return err_memory(err, "an equation", (size_t)einsum->n * sizeof *einsum->terms);
    const struct attr *equation = graph_attr(node, "equation");
    if (!equation || equation->type != ATTR_STRING)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'equation' is missing or no string", OP_NODE(node));
    const char *why = read_equation(einsum, equation->s);
    return !why || bad_equation(ctx, equation->s, why, err);
}

/* --- shape: views ------------------------------------------------------------------------------------------------- */

/* A term for a tensor of this rank: the ellipsis as the labels of the axes it stands for. */
static bool spread_term(const struct term *term, int rank, int *labels)
{
    const int named = term->n - (has_label(term, LABEL_ELLIPSIS) ? 1 : 0);
    const int hidden = rank - named;
    int n = 0;
    if (hidden < 0 || (named == term->n && hidden > 0))
        return false;
    for (int i = 0; i < term->n; i++) {
        if (term->labels[i] != LABEL_ELLIPSIS) {
            labels[n++] = term->labels[i];
            continue;
        }
        for (int k = 0; k < hidden; k++)
            labels[n++] = LABELS - hidden + k;
    }
    return true;
}

/* The size of every label, 0 for those that do not occur. */
static bool measure_labels(const struct step *step, int64_t *sizes, bool *occurs, struct percept_err *err)
{
    const struct einsum *einsum = step->priv;
    for (int i = 0; i < einsum->n; i++) {
        const struct tensor *x = step->in[i];
        int labels[RANK_MAX];
        if (!op_want_dtype(step, i, step->in[0]->dtype, err))
            return false;
        if (!spread_term(&einsum->terms[i], x->rank, labels))
            return err_set(err, ERR_INVALID,
                           OP_AT "input %d has %d axes; its term in the equation "
                                 "has another number of labels",
                           OP_NODE(step->node), i, x->rank);
        for (int k = 0; k < x->rank; k++) {
            const int label = labels[k];
            const int64_t n = x->dims[k];
            if (!occurs[label] || sizes[label] == 1)
                sizes[label] = n;
            occurs[label] = true;
            if (n != sizes[label] && n != 1)
                return err_set(err, ERR_INVALID,
                               OP_AT "axis %d of input %d has %lld elements where the same label "
                                     "has %lld elsewhere",
                               OP_NODE(step->node), k, i, (long long)n, (long long)sizes[label]);
        }
    }
    return true;
}

static int find_label(const struct view *view, int label)
{
    for (int i = 0; i < view->rank; i++) {
        if (view->labels[i] == label)
            return i;
    }
    return -1;
}

static struct view input_view(const struct step *step, int i, const int64_t *sizes)
{
    const struct einsum *einsum = step->priv;
    const struct tensor *x = step->in[i];
    struct view view = {.buffer = i};
    int labels[RANK_MAX];
    int64_t strides[RANK_MAX];
    spread_term(&einsum->terms[i], x->rank, labels);
    tensor_strides(x->rank, x->dims, strides);
    for (int k = 0; k < x->rank; k++) {
        if (x->dims[k] != sizes[labels[k]])
            continue;
        const int at = find_label(&view, labels[k]);
        if (at >= 0) {
            view.strides[at] += strides[k];
            continue;
        }
        view.labels[view.rank] = labels[k];
        view.dims[view.rank] = x->dims[k];
        view.strides[view.rank++] = strides[k];
    }
    return view;
}

/* Do the view's axes lie densely in just this order? */
static bool lies_so(const struct view *view, const int *labels, int n)
{
    int64_t stride = 1;
    if (view->rank != n)
        return false;
    for (int i = n - 1; i >= 0; i--) {
        if (view->labels[i] != labels[i] || (view->dims[i] != 1 && view->strides[i] != stride))
            return false;
        stride *= view->dims[i];
    }
    return true;
}

/* --- shape: stages ------------------------------------------------------------------------------------------------ */

struct planner {
    struct step *step;
    struct einsum_plan *plan;
    const int64_t *sizes; /* of the labels */
    bool output[LABELS];  /* labels of the result */
    int uses[LABELS];     /* operands still to come that have the label */
    size_t scratch_bytes;
    struct percept_err *err;
};

static bool too_large(const struct planner *p)
{
    return err_set(p->err, ERR_INVALID, OP_AT "a product between its inputs would be too large",
                   OP_NODE(p->step->node));
}

/* A dense view with these labels, in scratch. */
static bool make_view(struct planner *p, const int *labels, int n, struct view *view)
{
    int64_t bytes = (int64_t)tensor_dtype_bytes(p->step->in[0]->dtype);
    if (n > VIEW_MAX)
        return err_set(p->err, ERR_UNSUPPORTED, OP_AT "a product between its inputs has %d axes; up to %d would work",
                       OP_NODE(p->step->node), n, VIEW_MAX);
    *view = (struct view){.buffer = AT_SCRATCH, .offset = p->scratch_bytes, .rank = n};
    int64_t stride = 1;
    for (int i = n - 1; i >= 0; i--) {
        view->labels[i] = labels[i];
        view->dims[i] = p->sizes[labels[i]];
        view->strides[i] = stride;
        if (__builtin_mul_overflow(bytes, view->dims[i], &bytes) || bytes > INT64_MAX / 64)
            return too_large(p);
        stride *= view->dims[i];
    }
    p->scratch_bytes += weights_round((size_t)bytes);
    return p->scratch_bytes <= SIZE_MAX / 4 || too_large(p);
}

static struct place place_of(const struct view *view)
{
    return (struct place){.buffer = view->buffer, .offset = view->offset};
}

/* The view in this order, what is not named summed; a stage unless it lies so already. */
static bool arrange(struct planner *p, struct view *view, const int *labels, int n)
{
    if (lies_so(view, labels, n))
        return true;
    struct view dense;
    if (!make_view(p, labels, n, &dense))
        return false;
    struct stage *stage = &p->plan->stages[p->plan->n_stages++];
    *stage = (struct stage){.a = place_of(view), .y = place_of(&dense)};
    for (int i = 0; i < n; i++) {
        const int at = find_label(view, labels[i]);
        walk_axis(&stage->kept, view->dims[at], view->strides[at]);
    }
    for (int i = 0; i < view->rank; i++) {
        if (find_label(&dense, view->labels[i]) < 0)
            walk_axis(&stage->summed, view->dims[i], view->strides[i]);
    }
    *view = dense;
    return true;
}

/* Labels by class, in the order of the operand that is named first. */
struct classes {
    int batch[VIEW_MAX], m[VIEW_MAX], n[VIEW_MAX], k[VIEW_MAX];
    int n_batch, n_m, n_n, n_k;
};

static void classify(const struct planner *p, const struct view *a, const struct view *b, struct classes *c)
{
    *c = (struct classes){.n_batch = 0};
    for (int i = 0; i < a->rank; i++) {
        const int label = a->labels[i];
        const bool needed = p->output[label] || p->uses[label] > 0;
        const bool both = find_label(b, label) >= 0;
        if (both && needed)
            c->batch[c->n_batch++] = label;
        else if (both)
            c->k[c->n_k++] = label;
        else if (needed)
            c->m[c->n_m++] = label;
    }
    for (int i = 0; i < b->rank; i++) {
        const int label = b->labels[i];
        if (find_label(a, label) < 0 && (p->output[label] || p->uses[label] > 0))
            c->n[c->n_n++] = label;
    }
}

/* Writes three lists one after another; their length. */
static int join(int *labels, const int *a, int n_a, const int *b, int n_b, const int *c, int n_c)
{
    int n = 0;
    for (int i = 0; i < n_a; i++)
        labels[n++] = a[i];
    for (int i = 0; i < n_b; i++)
        labels[n++] = b[i];
    for (int i = 0; i < n_c; i++)
        labels[n++] = c[i];
    return n;
}

static int64_t volume(const struct planner *p, const int *labels, int n)
{
    int64_t product = 1;
    for (int i = 0; i < n; i++)
        product *= p->sizes[labels[i]];
    return product;
}

/* a := a times b. */
static bool multiply(struct planner *p, struct view *a, struct view *b)
{
    struct classes c;
    int order[3 * VIEW_MAX];
    classify(p, a, b, &c);
    int n = join(order, c.batch, c.n_batch, c.m, c.n_m, c.k, c.n_k);
    if (!arrange(p, a, order, n))
        return false;
    n = join(order, c.batch, c.n_batch, c.n, c.n_n, c.k, c.n_k);
    const bool turned = lies_so(b, order, n);
    n = join(order, c.batch, c.n_batch, c.k, c.n_k, c.n, c.n_n);
    if (!turned && !arrange(p, b, order, n))
        return false;
    struct view y;
    n = join(order, c.batch, c.n_batch, c.m, c.n_m, c.n, c.n_n);
    if (!make_view(p, order, n, &y))
        return false;
    struct stage *stage = &p->plan->stages[p->plan->n_stages++];
    *stage = (struct stage){.product = true,
                            .a = place_of(a),
                            .b = place_of(b),
                            .y = place_of(&y),
                            .batch = volume(p, c.batch, c.n_batch),
                            .m = volume(p, c.m, c.n_m),
                            .n = volume(p, c.n, c.n_n),
                            .k = volume(p, c.k, c.n_k),
                            .turned = turned};
    const size_t packed = weights_round(p->step->kernels->gemm->pack_bytes(stage->k, stage->n));
    if (p->step->in[0]->dtype == PERCEPT_FLOAT && stage->k > 1 && packed > p->plan->pack_bytes)
        p->plan->pack_bytes = packed;
    p->step->flops += 2.0 * (double)stage->batch * (double)stage->m * (double)stage->n * (double)stage->k;
    *a = y;
    return true;
}

static void count_uses(struct planner *p, const struct view *view, int by)
{
    for (int i = 0; i < view->rank; i++)
        p->uses[view->labels[i]] += by;
}

/* The stages; the last one writes the output. */
static bool plan_stages(struct planner *p, const int *result, int rank)
{
    const struct einsum *einsum = p->step->priv;
    struct einsum_plan *plan = p->plan;
    const size_t most = 3 * (size_t)einsum->n + 1;
    plan->stages = arena_array(p->step->arena, most, sizeof *plan->stages);
    if (!plan->stages)
        return err_memory(p->err, "an equation's stages", most * sizeof *plan->stages);
    for (int i = 0; i < einsum->n; i++) {
        const struct view view = input_view(p->step, i, p->sizes);
        count_uses(p, &view, 1);
    }
    struct view all = input_view(p->step, 0, p->sizes);
    count_uses(p, &all, -1);
    for (int i = 1; i < einsum->n; i++) {
        struct view next = input_view(p->step, i, p->sizes);
        count_uses(p, &next, -1);
        if (!multiply(p, &all, &next))
            return false;
    }
    if (!arrange(p, &all, result, rank))
        return false;
    if (plan->n_stages == 0) { /* the input as it is */
        p->step->alias = 1;
        return true;
    }
    plan->stages[plan->n_stages - 1].y.buffer = AT_OUTPUT;
    plan->stages[plan->n_stages - 1].y.offset = 0;
    return true;
}

/* Labels and dims of the result. An ellipsis is as long as the longest of the inputs'. */
static bool shape_result(struct step *step, const int64_t *sizes, const bool *occurs, int *labels, int *rank,
                         struct percept_err *err)
{
    const struct einsum *einsum = step->priv;
    int n = 0, hidden = 0;
    while (hidden < RANK_MAX && occurs[LABELS - 1 - hidden])
        hidden++;
    for (int i = 0; i < einsum->output.n; i++) {
        const int label = einsum->output.labels[i];
        const int first = label == LABEL_ELLIPSIS ? LABELS - hidden : label;
        const int count = label == LABEL_ELLIPSIS ? hidden : 1;
        if (n + count > RANK_MAX)
            return err_set(err, ERR_UNSUPPORTED, OP_AT "the result has more than %d axes", OP_NODE(step->node),
                           RANK_MAX);
        for (int k = 0; k < count; k++)
            labels[n++] = first + k;
    }
    int64_t dims[RANK_MAX], total;
    for (int i = 0; i < n; i++)
        dims[i] = sizes[labels[i]];
    *rank = n;
    op_set_out(step, 0, step->in[0]->dtype, n, dims);
    return tensor_count(n, dims, &total) ||
           err_set(err, ERR_INVALID, OP_AT "the result would be too large", OP_NODE(step->node));
}

static bool want_numbers(const struct step *step, struct percept_err *err)
{
    switch (step->in[0]->dtype) {
    case PERCEPT_FLOAT:
    case PERCEPT_DOUBLE:
    case PERCEPT_INT32:
    case PERCEPT_INT64:
    case PERCEPT_UINT32:
    case PERCEPT_UINT64:
        return true;
    default:
        return err_set(err, ERR_UNSUPPORTED, OP_AT "its input is %s; float32, double and (u)int32/64 work",
                       OP_NODE(step->node), tensor_dtype_name(step->in[0]->dtype));
    }
}

static bool einsum_shape(struct step *step, struct percept_err *err)
{
    int64_t sizes[LABELS] = {0};
    bool occurs[LABELS] = {false};
    int labels[RANK_MAX], rank = 0;
    struct einsum_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "an equation's plan", sizeof *plan);
    step->state = plan;
    if (!want_numbers(step, err) || !measure_labels(step, sizes, occurs, err) ||
        !shape_result(step, sizes, occurs, labels, &rank, err))
        return false;
    for (int i = 0; i < LABELS; i++)
        plan->zeros = plan->zeros || (occurs[i] && sizes[i] == 0);
    if (plan->zeros)
        return true;
    struct planner planner = {.step = step, .plan = plan, .sizes = sizes, .err = err};
    for (int i = 0; i < rank; i++)
        planner.output[labels[i]] = true;
    if (!plan_stages(&planner, labels, rank))
        return false;
    const size_t members = (size_t)(step->members > 0 ? step->members : 1);
    plan->pack_at = planner.scratch_bytes;
    if (plan->pack_bytes > (SIZE_MAX / 4 - plan->pack_at) / members)
        return too_large(&planner);
    step->scratch_bytes = plan->pack_at + plan->pack_bytes * members;
    return true;
}

/* --- run: gathers ------------------------------------------------------------------------------------------------- */

static void *at_place(const struct step *step, struct place place)
{
    if (place.buffer == AT_OUTPUT)
        return step->out[0]->data;
    return place.buffer == AT_SCRATCH ? (char *)step->scratch + place.offset : step->in[place.buffer]->data;
}

/* The next element of a view, or back at the first; its offset. */
static int64_t advance(const struct walk_view *view, int64_t *index, int64_t offset)
{
    for (int i = view->rank - 1; i >= 0; i--) {
        offset += view->strides[i];
        if (++index[i] < view->dims[i])
            return offset;
        offset -= view->dims[i] * view->strides[i];
        index[i] = 0;
    }
    return offset;
}

static int64_t view_elements(const struct walk_view *view)
{
    int64_t n = 1;
    for (int i = 0; i < view->rank; i++)
        n *= view->dims[i];
    return n;
}

/* The place of element i of a view; its offset. */
static int64_t seek(const struct walk_view *view, int64_t *index, int64_t i)
{
    int64_t offset = 0;
    for (int axis = view->rank - 1; axis >= 0; axis--) {
        index[axis] = i % view->dims[axis];
        offset += index[axis] * view->strides[axis];
        i /= view->dims[axis];
    }
    return offset;
}

/* Elements [first, end) of what is kept. T: of the elements, SUM: of their sum (unsigned, so that it wraps). */
#define GATHER(name, T, SUM)                                                                                           \
    static void name(const struct stage *stage, const T *x, T *y, int64_t first, int64_t end)                          \
    {                                                                                                                  \
        const int64_t terms = view_elements(&stage->summed);                                                           \
        int64_t kept[WALK_RANK] = {0}, at = seek(&stage->kept, kept, first);                                           \
        for (int64_t i = first; i < end; i++, at = advance(&stage->kept, kept, at)) {                                  \
            int64_t index[WALK_RANK] = {0}, from = at;                                                                 \
            SUM sum = 0;                                                                                               \
            for (int64_t t = 0; t < terms; t++, from = advance(&stage->summed, index, from))                           \
                sum += (SUM)x[from];                                                                                   \
            y[i] = (T)sum;                                                                                             \
        }                                                                                                              \
    }

GATHER(gather_float, float, double)
GATHER(gather_double, double, double)
GATHER(gather_32, uint32_t, uint32_t)
GATHER(gather_64, uint64_t, uint64_t)

/* A stage as its pieces see it. */
struct stage_work {
    const struct step *step;
    const struct stage *stage;
};

/* Pieces: elements. */
static void gather_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct stage_work *work = arg;
    const struct stage *stage = work->stage;
    const enum percept_dtype dtype = work->step->in[0]->dtype;
    const void *x = at_place(work->step, stage->a);
    void *y = at_place(work->step, stage->y);
    if (dtype == PERCEPT_FLOAT)
        gather_float(stage, x, y, from, to);
    else if (dtype == PERCEPT_DOUBLE)
        gather_double(stage, x, y, from, to);
    else if (tensor_dtype_bytes(dtype) == 4)
        gather_32(stage, x, y, from, to);
    else
        gather_64(stage, x, y, from, to);
}

static void run_gather(const struct step *step, const struct stage *stage, struct run_env *env)
{
    struct stage_work work = {step, stage};
    if (stage->summed.rank == 0)
        walk_copy(env->team, at_place(step, stage->y), at_place(step, stage->a), tensor_dtype_bytes(step->in[0]->dtype),
                  &stage->kept);
    else
        team_split(env->team, view_elements(&stage->kept), 1 + WALK_GRAIN / view_elements(&stage->summed),
                   gather_pieces, &work);
}

/* --- run: products ------------------------------------------------------------------------------------------------ */

/* Rows [first, end) of all matrices. */
#define PRODUCT(name, T)                                                                                               \
    static void name(const struct stage *s, const T *a, const T *b, T *y, int64_t first, int64_t end)                  \
    {                                                                                                                  \
        const int64_t b_k = s->turned ? 1 : s->n, b_n = s->turned ? s->k : 1;                                          \
        y += first * s->n;                                                                                             \
        for (int64_t row = first; row < end; row++) {                                                                  \
            const T *left = a + row * s->k, *right = b + row / s->m * s->k * s->n;                                     \
            for (int64_t j = 0; j < s->n; j++) {                                                                       \
                T sum = 0;                                                                                             \
                for (int64_t l = 0; l < s->k; l++)                                                                     \
                    sum += left[l] * right[l * b_k + j * b_n];                                                         \
                *y++ = sum;                                                                                            \
            }                                                                                                          \
        }                                                                                                              \
    }

PRODUCT(product_float, float)
PRODUCT(product_double, double)
PRODUCT(product_32, uint32_t)
PRODUCT(product_64, uint64_t)

struct einsum_work {
    const struct step *step;
    const struct stage *stage;
    const float *a, *b;
    float *y;
    char *packed;
    size_t pack_bytes;
};

static void pack_right(const struct einsum_work *work, struct percept_team *team, int64_t item, void *packed)
{
    const struct stage *s = work->stage;
    product_pack(work->step->kernels->gemm, team, packed, work->b + item * s->k * s->n, s->k, s->n,
                 s->turned ? 1 : s->n, s->turned ? s->k : 1, NULL);
}

static void multiply_part(const struct einsum_work *work, const struct product_part *part, const char *packed)
{
    const struct stage *s = work->stage;
    const struct epilogue none = {.bias = NULL};
    const int64_t row = part->item * s->m + part->row;
    work->step->kernels->gemm->run(part->rows, s->n, s->k, work->a + row * s->k, s->k, packed, work->y + row * s->n,
                                   s->n, &none, part->column, part->column_end);
}

/* A whole product, and its right side before it. */
static void pack_and_multiply(void *arg, const struct product_part *part, int member)
{
    const struct einsum_work *work = arg;
    char *packed = work->packed + work->pack_bytes * (size_t)member;
    pack_right(work, NULL, part->item, packed);
    multiply_part(work, part, packed);
}

static void multiply_packed(void *arg, const struct product_part *part, int member)
{
    (void)member;
    const struct einsum_work *work = arg;
    multiply_part(work, part, work->packed);
}

static void run_gemm(const struct step *step, const struct stage *stage, struct run_env *env)
{
    const struct einsum_plan *plan = step->state;
    struct einsum_work work = {.step = step,
                               .stage = stage,
                               .a = at_place(step, stage->a),
                               .b = at_place(step, stage->b),
                               .y = at_place(step, stage->y),
                               .packed = (char *)step->scratch + plan->pack_at,
                               .pack_bytes = plan->pack_bytes};
    if (stage->batch > 1 && (double)stage->m * (double)stage->n * (double)stage->k < (double)EINSUM_ALONE) {
        const struct product whole = product_bands(stage->batch, stage->m, stage->n, stage->m, stage->n);
        product_run(&whole, env->team, pack_and_multiply, &work);
        return;
    }
    const struct product one = product_packed(step->kernels, 1, stage->m, stage->n, stage->k);
    for (int64_t item = 0; item < stage->batch; item++) {
        pack_right(&work, env->team, item, work.packed);
        product_run(&one, env->team, multiply_packed, &work);
        work.a += stage->m * stage->k;
        work.y += stage->m * stage->n;
    }
}

/* Pieces: rows of all matrices. */
static void loop_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct stage_work *work = arg;
    const struct stage *stage = work->stage;
    const enum percept_dtype dtype = work->step->in[0]->dtype;
    const void *a = at_place(work->step, stage->a), *b = at_place(work->step, stage->b);
    void *y = at_place(work->step, stage->y);
    if (dtype == PERCEPT_FLOAT)
        product_float(stage, a, b, y, from, to);
    else if (dtype == PERCEPT_DOUBLE)
        product_double(stage, a, b, y, from, to);
    else if (tensor_dtype_bytes(dtype) == 4)
        product_32(stage, a, b, y, from, to);
    else
        product_64(stage, a, b, y, from, to);
}

static void run_product(const struct step *step, const struct stage *stage, struct run_env *env)
{
    struct stage_work work = {step, stage};
    if (step->in[0]->dtype == PERCEPT_FLOAT && stage->k > 1)
        run_gemm(step, stage, env);
    else
        team_split(env->team, stage->batch * stage->m, 1 + WALK_GRAIN / (stage->n * stage->k), loop_pieces, &work);
}

static bool einsum_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct einsum_plan *plan = step->state;
    const struct tensor *out = step->out[0];
    const size_t n_bytes = (size_t)tensor_elements(out) * tensor_dtype_bytes(out->dtype);
    if (plan->zeros && n_bytes)
        memset(out->data, 0, n_bytes);
    for (int i = 0; i < plan->n_stages; i++) {
        if (plan->stages[i].product)
            run_product(step, &plan->stages[i], env);
        else
            run_gather(step, &plan->stages[i], env);
    }
    return true;
}

/* The label of the axis that holds the batch stands once in each term that has it and in the result; a term that
 * is the same for every item has 1 there. */
static void einsum_batch(struct batch_view *view)
{
    const struct einsum *einsum = view->many->priv;
    int label = LABEL_NONE, labels[TERM_MAX + RANK_MAX];
    int64_t before = 1;
    for (int i = 0; i < einsum->n; i++) {
        if (view->in[i].word != BATCH_INDEPENDENT || !spread_term(&einsum->terms[i], view->many->in[i]->rank, labels))
            continue;
        const int mine = labels[view->in[i].axis];
        if (label != LABEL_NONE && (mine != label || before != view->in[i].before)) {
            batch_axis_mixes(view, "multiplies items that lie along different labels");
            return;
        }
        label = mine;
        before = view->in[i].before;
    }
    for (int i = 0; i < einsum->n; i++) {
        const struct tensor *t = view->many->in[i];
        int times = 0;
        if (view->in[i].word == BATCH_SHAPED || !spread_term(&einsum->terms[i], t->rank, labels))
            return;
        for (int d = 0; d < t->rank; d++) {
            times += labels[d] == label;
            if (labels[d] == label && view->in[i].word == BATCH_SAME && t->dims[d] != 1)
                times = 2;
        }
        if (times > 1) {
            batch_axis_mixes(view, "multiplies items with each other");
            return;
        }
    }
    const int rank = view->many->out[0]->rank;
    if (!spread_term(&einsum->output, rank, labels))
        return;
    for (int d = 0; d < rank; d++)
        if (labels[d] == label) {
            batch_axis_all(view, batch_axis_at(d, before));
            return;
        }
    batch_axis_mixes(view, "sums over the batch");
}

const struct op_rule op_einsum = {
    .check = einsum_check, .shape = einsum_shape, .run = einsum_run, .batch = einsum_batch};
