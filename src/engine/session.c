/*
 * session.c - the public face of running: set shapes, write inputs, run, read outputs, profile.
 *
 * The work is the frame's (frame.c); here dims are judged against what the model says, in the sentences
 * that callers see. Input memory belongs to the current plan: percept_input plans first if the shapes are
 * new.
 *
 * A rank of 0 that the file declares is no promise: exporters write it where they know nothing of a shape. Any is
 * taken that the network can work with, and where it needs the scalar that was declared, one element of any rank.
 *
 * Threads: one at a time, its holder. Helpers come in through the run's team only.
 */
#include "base/mode.h"
#include "base/watch.h"
#include "engine/depth.h"
#include "engine/items.h"

struct percept_session {
    const struct percept_model *model;
    struct frame *frame;
    struct depth *depth;    /* for batches whose items are run one after the other; NULL until there is one */
    bool depth_first;       /* the batch that is prepared is */
    int *ranks;             /* [n_inputs] as set, where the frame sees a scalar instead */
    struct tensor *scalars; /* [n_inputs] shapes as set at which it had to; NULL before */
    bool profiling;
    int64_t step_started_ns;
    struct percept_step_profile *profile; /* of the last run; in its own buffer */
    int n_profile, cap_profile;
};

struct percept_session *percept_session_new(const struct percept_model *model, struct percept_err *err)
{
    struct percept_session *session = arena_buffer(sizeof *session);
    if (!session) {
        err_memory(err, "a session", sizeof *session);
        return NULL;
    }
    session->model = model;
    session->frame = frame_new(model, model->parts, err);
    session->ranks = arena_buffer(((size_t)model->n_inputs + 1) * sizeof *session->ranks);
    if (!session->frame || !session->ranks) {
        if (session->frame)
            err_memory(err, "a session", (size_t)model->n_inputs * sizeof *session->ranks);
        percept_session_free(session);
        return NULL;
    }
    struct tensor *feeds = frame_feeds(session->frame);
    for (int i = 0; i < model->n_inputs; i++) {
        const struct percept_io *io = &model->inputs[i];
        feeds[i] = (struct tensor){.dtype = io->dtype, .rank = io->rank};
        session->ranks[i] = -1;
        for (int d = 0; d < io->rank; d++) {
            feeds[i].dims[d] = io->dims[d];
            if (io->dims[d] < 0)
                feeds[i].rank = -1;
        }
    }
    return session;
}

void percept_session_free(struct percept_session *session)
{
    if (!session)
        return;
    frame_free(session->frame);
    depth_free(session->depth);
    arena_buffer_free(session->ranks);
    arena_buffer_free(session->scalars);
    arena_buffer_free(session->profile);
    arena_buffer_free(session);
}

bool percept_resize(struct percept_session *session, int input, int rank, const int64_t *dims, struct percept_err *err)
{
    const struct percept_model *model = session->model;
    if (input < 0 || input >= model->n_inputs)
        return err_set(err, ERR_INVALID, "the model has no input %d; it has %d", input, model->n_inputs);
    const struct percept_io *io = &model->inputs[input];
    bool fits = rank >= 0 && rank <= RANK_MAX && (io->rank <= 0 || io->rank == rank);
    for (int d = 0; fits && d < rank; d++)
        fits = dims[d] >= 0 && (io->rank <= 0 || io->dims[d] < 0 || io->dims[d] == dims[d]);
    int64_t count;
    if (!fits || !tensor_count(rank, dims, &count)) {
        char want[128], got[128];
        return err_set(err, ERR_INVALID, "input '%s' has shape %s, got %s", io->name,
                       tensor_shape_text(io->rank, io->dims, want, sizeof want),
                       tensor_shape_text(rank < 0 || rank > RANK_MAX ? 0 : rank, dims, got, sizeof got));
    }
    struct tensor *wanted = &frame_feeds(session->frame)[input];
    wanted->rank = session->ranks[input] >= 0 ? session->ranks[input] : wanted->rank;
    session->ranks[input] = -1;
    struct tensor fresh = {.dtype = wanted->dtype, .rank = rank};
    for (int d = 0; d < rank; d++)
        fresh.dims[d] = dims[d];
    if (wanted->rank < 0 || !tensor_same_dims(wanted, &fresh)) {
        *wanted = fresh;
        frame_changed(session->frame);
    }
    return true;
}

/* Found once per plan. */
static bool proved_independent(struct percept_session *session)
{
    struct plan *plan = frame_plan(session->frame);
    if (!plan->items_asked) {
        plan->items_independent = items_prove_plan(session->model, plan).independent;
        plan->items_asked = true;
    }
    return plan->items_independent;
}

bool percept_items_independent(struct percept_session *session)
{
    const struct percept_model *model = session->model;
    return model->description.batch_free && percept_prepare(session, NULL) &&
           (model->independent || proved_independent(session));
}

/* A network whose file says 1 means nothing else by what it does with more, unless items are apart there. */
static bool judge_freed(struct percept_session *session, struct percept_err *err)
{
    const struct percept_model *model = session->model;
    if (!model->description.batch_rewritten || model->independent || proved_independent(session))
        return true;
    frame_changed(session->frame);
    return err_set(err, ERR_INVALID,
                   "the file says that the batch is 1, and at these shapes items of a larger one "
                   "might change each other's results; one at a time works");
}

/* Lets the frame see one element as it was set, or as the scalar that was declared. Are there such inputs? */
static bool see_scalars(struct percept_session *session, bool as_scalar)
{
    struct tensor *feeds = frame_feeds(session->frame);
    bool any = false;
    for (int i = 0; i < session->model->n_inputs; i++) {
        const int rank = session->ranks[i] >= 0 ? session->ranks[i] : feeds[i].rank;
        if (session->model->inputs[i].rank != 0 || rank < 1 || tensor_span(&feeds[i], 0, rank) != 1)
            continue;
        any = true;
        const int seen = as_scalar ? 0 : rank;
        if (feeds[i].rank != seen)
            frame_changed(session->frame);
        session->ranks[i] = as_scalar ? rank : -1;
        feeds[i].rank = seen;
    }
    return any;
}

static struct tensor as_set(const struct percept_session *session, int i)
{
    struct tensor feed = frame_feeds(session->frame)[i];
    feed.rank = session->ranks[i] >= 0 ? session->ranks[i] : feed.rank;
    return feed;
}

/* Are these the shapes at which scalars had to be seen last? Nothing else of the past counts: who came before does
 * not change what an answer looks like. */
static bool had_to(const struct percept_session *session)
{
    bool same = session->scalars != NULL;
    for (int i = 0; same && i < session->model->n_inputs; i++) {
        const struct tensor feed = as_set(session, i);
        same = tensor_same_dims(&feed, &session->scalars[i]);
    }
    return same;
}

/* So that what does not work is not planned again at every run; that is all it costs where memory is short. */
static void remember_scalars(struct percept_session *session)
{
    const int n = session->model->n_inputs;
    if (!session->scalars)
        session->scalars = arena_buffer(((size_t)n + 1) * sizeof *session->scalars);
    for (int i = 0; session->scalars && i < n; i++)
        session->scalars[i] = as_set(session, i);
}

/* Plans, and takes the memory that a run needs: of one item of a batch, or of all. */
static bool prepare_shapes(struct percept_session *session, struct percept_err *err)
{
    if (!frame_find(session->frame, err))
        return false;
    struct plan *plan = frame_plan(session->frame);
    session->depth_first = depth_wanted(session->model, plan);
    if (!session->depth_first)
        return frame_prepare(session->frame, err);
    if (!session->depth)
        session->depth = depth_new(session->model, err);
    return session->depth && depth_prepare(session->depth, plan, err);
}

static bool prepare_ranks(struct percept_session *session, struct percept_err *err)
{
    struct percept_err why = {0};
    const bool scalars = had_to(session), any = see_scalars(session, scalars);
    if (!any || scalars)
        return prepare_shapes(session, err);
    if (prepare_shapes(session, &why))
        return true;
    if (why.code == ERR_MEMORY)
        return err_set(err, why.code, "%s", why.text);
    see_scalars(session, true);
    if (!prepare_shapes(session, err))
        return false;
    remember_scalars(session);
    return true;
}

/* A refusal of shapes, one of which has no elements: says of which input, since that is most likely why. */
static bool name_empty(const struct percept_session *session, struct percept_err *err)
{
    if (!err || err->code != ERR_INVALID)
        return false;
    for (int i = 0; i < session->model->n_inputs; i++) {
        const struct tensor *feed = &frame_feeds(session->frame)[i];
        char text[128];
        for (int d = 0; d < feed->rank; d++)
            if (feed->dims[d] == 0)
                return err_prefix(err,
                                  "input '%s' has shape %s, whose axis %d is empty: ", session->model->inputs[i].name,
                                  tensor_shape_text(feed->rank, feed->dims, text, sizeof text), d);
    }
    return false;
}

/* The model was judged when it was opened: what it cannot compute for these shapes and this data is the caller's. */
static bool of_request(struct percept_err *err)
{
    if (err && err->code == ERR_MODEL)
        err->code = ERR_INVALID;
    return false;
}

bool percept_prepare(struct percept_session *session, struct percept_err *err)
{
    for (int i = 0; i < session->model->n_inputs; i++)
        if (frame_feeds(session->frame)[i].rank < 0)
            return err_set(err, ERR_INVALID, "the shape of input '%s' has free dimensions and is not set",
                           session->model->inputs[i].name);
    const uint64_t mode = mode_enter(MODE_EXACT);
    const bool good =
        (prepare_ranks(session, err) || of_request(err) || name_empty(session, err)) && judge_freed(session, err);
    mode_set(mode);
    return good;
}

void *percept_input(struct percept_session *session, int input)
{
    if (input < 0 || input >= session->model->n_inputs || !percept_prepare(session, NULL))
        return NULL;
    return session->depth_first ? depth_feed(session->depth, input) : frame_feed_data(session->frame, input);
}

/* --- profiles ----------------------------------------------------------------------------------------------------- */

static void step_begins(void *user)
{
    struct percept_session *session = user;
    session->step_started_ns = watch_now_ns();
}

static bool reserve_profile(struct percept_session *session)
{
    if (session->n_profile < session->cap_profile)
        return true;
    int cap = session->cap_profile ? session->cap_profile * 2 : 64;
    struct percept_step_profile *fresh = arena_buffer((size_t)cap * sizeof *fresh);
    if (!fresh)
        return false;
    for (int i = 0; i < session->n_profile; i++)
        fresh[i] = session->profile[i];
    arena_buffer_free(session->profile);
    session->profile = fresh;
    session->cap_profile = cap;
    return true;
}

/* Constants that live in the packed bytes alone have no data. */
static double step_bytes(const struct step *step)
{
    double sum = (double)step->packed_bytes;
    size_t n_bytes;
    for (int i = 0; i < step->n_in; i++)
        if (step->in[i] && step->in[i]->data && tensor_bytes(step->in[i], step->kernels->width, &n_bytes))
            sum += (double)n_bytes;
    for (int i = 0; i < step->n_out; i++)
        if (tensor_bytes(step->out[i], step->kernels->width, &n_bytes))
            sum += (double)n_bytes;
    return sum;
}

static void step_ended(void *user, const struct step *step)
{
    struct percept_session *session = user;
    int64_t ns = watch_now_ns() - session->step_started_ns;
    if (!reserve_profile(session))
        return;
    const char *name = step->node ? (const char *)step->node->name.at : NULL;
    session->profile[session->n_profile++] =
        (struct percept_step_profile){.op_type = step->op->name,
                                      .node = name ? name : "",
                                      .algorithm = step->algorithm ? step->algorithm : "",
                                      .ms = (double)ns / 1e6,
                                      .flops = step->flops,
                                      .done_flops = step->done_flops > 0 ? step->done_flops : step->flops,
                                      .bytes = step_bytes(step)};
}

void percept_set_profiling(struct percept_session *session, bool on)
{
    session->profiling = on;
    session->n_profile = 0;
}

const struct percept_step_profile *percept_profile(const struct percept_session *session, int *n)
{
    *n = session->n_profile;
    return session->profile;
}

/* --- running ------------------------------------------------------------------------------------------------------ */

bool percept_run(struct percept_session *session, const struct percept_run_context *context, struct percept_err *err)
{
    const struct frame_observer all = {.before = step_begins, .after = step_ended, .user = session};
    const struct frame_observer *observer = session->profiling ? &all : NULL;
    session->n_profile = 0;
    if (!percept_prepare(session, err))
        return false;
    const uint64_t mode = mode_enter(MODE_EXACT); /* of what lies between steps; each has its own (op_run) */
    const bool ok = session->depth_first ? depth_run(session->depth, context, observer, err)
                                         : frame_run(session->frame, context, observer, err);
    mode_set(mode);
    return ok || of_request(err) || name_empty(session, err);
}

struct percept_tensor percept_output(const struct percept_session *session, int output)
{
    struct percept_tensor view = {.dtype = PERCEPT_UNDEFINED};
    if (output < 0 || output >= session->model->n_outputs)
        return view;
    const struct tensor *tensor =
        session->depth_first ? depth_output(session->depth, output) : frame_output(session->frame, output);
    if (!tensor)
        return view;
    view.dtype = tensor->dtype;
    view.rank = tensor->rank;
    for (int d = 0; d < tensor->rank; d++)
        view.dims[d] = tensor->dims[d];
    view.data = tensor->data;
    return view;
}

size_t percept_session_bytes(const struct percept_session *session)
{
    return frame_bytes(session->frame) + (session->depth ? depth_bytes(session->depth) : 0);
}

size_t percept_session_needs(const struct percept_session *session)
{
    return frame_needs(session->frame) + (session->depth_first ? depth_needs(session->depth) : 0);
}

void percept_session_trim(struct percept_session *session, bool all)
{
    frame_trim(session->frame, all || session->depth_first);
    if (session->depth)
        depth_trim(session->depth, all || !session->depth_first);
}

double percept_session_flops(const struct percept_session *session)
{
    double flops = 0;
    for (const struct plan *plan = frame_plan(session->frame); plan; plan = plan->next)
        flops += plan->flops;
    return flops;
}
