/*
 * constant.c - see constant.h. Values are those of one item, repeated for each; of facts about pictures each item has
 * its own picture's. What goes with a text's tokens is as long as these. What fits is judged at load, so a request can
 * only fail for want of memory, of a picture or of a text.
 *
 * Runs on whoever decodes; touches its job alone.
 */
#include "serve/constant.h"

#include "base/err.h"
#include "serve/codec_parts.h"

#include <math.h>

#define FACTS 2 /* numbers of a picture */

static const struct manifest_input *described(const struct served *served, const char *name)
{
    const struct manifest_input *input = manifest_input(served->manifest, name);
    return input && input->kind == MANIFEST_CONSTANT ? input : NULL;
}

/* --- what it holds ------------------------------------------------------------------------------------------------ */

static int64_t count(const struct manifest_constant *constant)
{
    return constant->fact ? FACTS : constant->n_values;
}

/* Width and height, or height and width. */
static void facts_of(const struct picture_view *view, enum manifest_fact fact, double facts[FACTS])
{
    double width = view->width, height = view->height;
    if (fact == FACT_INPUT_WH || fact == FACT_INPUT_HW) {
        width = view->input_width;
        height = view->input_height;
    } else if (fact == FACT_SCALE_WH || fact == FACT_SCALE_HW) {
        width = view->input_width / (view->shown.right - view->shown.left);
        height = view->input_height / (view->shown.bottom - view->shown.top);
    }
    const bool width_first = fact == FACT_SIZE_WH || fact == FACT_INPUT_WH || fact == FACT_SCALE_WH;
    facts[0] = width_first ? width : height;
    facts[1] = width_first ? height : width;
}

static void store(const struct percept_tensor *tensor, int64_t i, double value)
{
    void *data = tensor->data;
    switch (tensor->dtype) {
    case PERCEPT_FLOAT:
        ((float *)data)[i] = (float)value;
        break;
    case PERCEPT_DOUBLE:
        ((double *)data)[i] = value;
        break;
    case PERCEPT_INT64:
        ((int64_t *)data)[i] = (int64_t)value;
        break;
    case PERCEPT_INT32:
        ((int32_t *)data)[i] = (int32_t)value;
        break;
    default:
        ((uint8_t *)data)[i] = (uint8_t)value; /* uint8 and bool */
    }
}

/* Of the token at place p of a row that has so many. */
static double token_fact(enum manifest_tokens tokens, int64_t p, int64_t n)
{
    return tokens == TOKENS_MASK ? p < n : tokens == TOKENS_POSITIONS ? (double)p : 0;
}

/* --- does it fit? ------------------------------------------------------------------------------------------------- */

/* What an element may be. */
static bool range_of(enum percept_dtype dtype, double *low, double *high, bool *whole)
{
    *whole = dtype != PERCEPT_FLOAT && dtype != PERCEPT_DOUBLE;
    *low = dtype == PERCEPT_INT64 ? -0x1p53 : dtype == PERCEPT_INT32 ? INT32_MIN : *whole ? 0 : -HUGE_VAL;
    *high = dtype == PERCEPT_INT64   ? 0x1p53
            : dtype == PERCEPT_INT32 ? INT32_MAX
            : dtype == PERCEPT_UINT8 ? 255
            : dtype == PERCEPT_BOOL  ? 1
                                     : HUGE_VAL;
    return !*whole || *high < HUGE_VAL;
}

static bool values_fit(const struct manifest_input *input, const struct percept_io *io, struct percept_err *err)
{
    const struct manifest_constant *constant = &input->constant;
    double low, high;
    bool whole;
    if (!range_of(io->dtype, &low, &high, &whole))
        return err_set(err, ERR_CONFIG,
                       "input '%s' is described as a constant but takes %s; float32, float64, int64, int32, uint8 and "
                       "bool can be one",
                       io->name, percept_dtype_name(io->dtype));
    if (constant->fact && (constant->fact >= FACT_SCALE_WH ? whole : high < 65536))
        return err_set(err, ERR_CONFIG, "inputs.%s.picture: input '%s' takes %s, which cannot hold it", input->name,
                       io->name, percept_dtype_name(io->dtype));
    for (int i = 0; i < constant->n_values; i++) {
        const double value = constant->values[i];
        if (value < low || value > high || (whole && value != floor(value)))
            return err_set(err, ERR_CONFIG, "inputs.%s.values[%d]: %g is no %s", input->name, i, value,
                           percept_dtype_name(io->dtype));
    }
    return true;
}

/* The dims of a tensor of n_items, whose elements are the values or as many times the only one; false: none are. */
static bool shape_of(const struct manifest_constant *constant, const struct percept_io *io, bool batching,
                     int64_t n_items, struct percept_tensor *tensor, int64_t *n_each)
{
    int free_axis = -1;
    *tensor = (struct percept_tensor){.dtype = io->dtype, .rank = io->rank < 0 ? 1 + batching : io->rank};
    *n_each = 1;
    if (batching && tensor->rank < 1)
        return false;
    for (int i = 0; i < tensor->rank; i++) {
        tensor->dims[i] = i == 0 && batching ? n_items : io->rank < 0 ? -1 : io->dims[i];
        if (i == 0 && batching)
            continue;
        if (tensor->dims[i] < 0 && free_axis >= 0)
            return false;
        if (tensor->dims[i] < 0)
            free_axis = i;
        else if (__builtin_mul_overflow(*n_each, tensor->dims[i], n_each))
            return false;
    }
    const int64_t n = count(constant);
    if (free_axis >= 0) {
        tensor->dims[free_axis] = *n_each ? n / *n_each : 0;
        return *n_each && (*n_each *= tensor->dims[free_axis]) == n;
    }
    return *n_each == n || (n == 1 && *n_each <= MANIFEST_VALUES_MAX);
}

bool constant_fits(const struct manifest_input *input, const struct percept_io *io, bool batching,
                   struct percept_err *err)
{
    struct percept_tensor tensor;
    int64_t n_each;
    if (!values_fit(input, io, err))
        return false;
    if (input->constant.tokens)
        return io->rank < 0 || io->rank == 1 || io->rank == 2 ||
               err_set(err, ERR_CONFIG, "inputs.%s.text: input '%s' has %d dimensions; a row of tokens has 1 or 2",
                       input->name, io->name, io->rank);
    return shape_of(&input->constant, io, batching, 1, &tensor, &n_each) ||
           err_set(err, ERR_CONFIG,
                   "input '%s' is described as a constant of %lld values, and its dimensions hold another number of "
                   "them; config or manifest must say as many",
                   io->name, (long long)count(&input->constant));
}

/* --- for a request ------------------------------------------------------------------------------------------------ */

static bool put(struct job *job, const struct manifest_constant *constant, const struct percept_tensor *tensor,
                int64_t n_items, int64_t n_each, struct percept_err *err)
{
    for (int64_t item = 0; item < n_items; item++) {
        double facts[FACTS] = {0};
        const double *values = constant->fact ? facts : constant->values;
        if (constant->fact)
            facts_of(job_view(job, item), constant->fact, facts);
        if (!watch_spend(&job->watch, n_each))
            return watch_refuse(&job->watch, err);
        for (int64_t i = 0; i < n_each; i++)
            store(tensor, item * n_each + i, values[count(constant) == 1 ? 0 : i]);
    }
    return true;
}

static bool fill(struct job *job, int input, const struct percept_io *io, const struct manifest_constant *constant,
                 struct percept_err *err)
{
    struct percept_tensor tensor;
    const bool batching = served_has_batch(job->served) && io->batch_axis == 0;
    const int64_t n_before = job->n_items < 1 ? 1 : job->n_items, n_items = batching ? n_before : 1;
    int64_t n_each, n;
    if (constant->fact && !job->view.width)
        return err_set(err, ERR_INVALID,
                       "input '%s' is what the posted picture's size is, and none was posted; send it as a tensor",
                       io->name);
    if (!shape_of(constant, io, batching, n_items, &tensor, &n_each) || !codec_count(tensor.rank, tensor.dims, &n))
        return err_set(err, ERR_INVALID, "input '%s' has no shape for %lld items", io->name, (long long)n_items);
    if (!codec_parts_reserve(job, io->name, &tensor, n, err) || !put(job, constant, &tensor, n_items, n_each, err) ||
        !codec_accept(job, input, &tensor, err))
        return false;
    job->n_items = n_before;
    return true;
}

/* The tokens that a text became, or that came as ids; NULL: there are none. */
static const struct percept_tensor *tokens_of(const struct job *job, int *batch_axis)
{
    int n;
    const struct percept_io *io = served_inputs(job->served, &n);
    for (int i = 0; i < n; i++) {
        const struct manifest_input *input = manifest_input(job->served->manifest, io[i].name);
        *batch_axis = served_has_batch(job->served) ? io[i].batch_axis : -1;
        if (input && input->kind == MANIFEST_TEXT && job->inputs[i].data && job->inputs[i].rank <= 2)
            return &job->inputs[i];
    }
    return NULL;
}

/* As the tokens lie: [length], [batch, length] or [length, batch]. Ids that came as such are all tokens. */
static bool fill_tokens(struct job *job, int input, const struct percept_io *io,
                        const struct manifest_constant *constant, struct percept_err *err)
{
    int batch_axis;
    const struct percept_tensor *tokens = tokens_of(job, &batch_axis);
    if (!tokens || tokens->rank < 1)
        return err_set(err, ERR_INVALID, "input '%s' goes with the tokens of a text, and there are none; send it",
                       io->name);
    struct percept_tensor tensor = *tokens;
    tensor.dtype = io->dtype;
    const bool turned = tokens->rank == 2 && batch_axis == 1;
    const int64_t width = tokens->dims[turned ? 0 : tokens->rank - 1];
    const int64_t n_rows = tokens->rank == 2 ? tokens->dims[turned ? 1 : 0] : 1;
    if (!codec_parts_reserve(job, io->name, &tensor, n_rows * width, err))
        return false;
    for (int64_t row = 0; row < n_rows; row++) {
        const int64_t n = job->text_lengths ? job->text_lengths[row] : width;
        if (!watch_spend(&job->watch, width))
            return watch_refuse(&job->watch, err);
        for (int64_t p = 0; p < width; p++)
            store(&tensor, turned ? p * n_rows + row : row * width + p, token_fact(constant->tokens, p, n));
    }
    return codec_accept(job, input, &tensor, err);
}

bool constant_fill(struct job *job, struct percept_err *err)
{
    int n;
    const struct percept_io *io = served_inputs(job->served, &n);
    for (int i = 0; i < n; i++) {
        const struct manifest_input *input = described(job->served, io[i].name);
        if (!input || !codec_is_body(job, i) || job->inputs[i].data)
            continue;
        if (!(input->constant.tokens ? fill_tokens : fill)(job, i, &io[i], &input->constant, err))
            return false;
    }
    return true;
}
