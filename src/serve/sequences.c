/*
 * sequences.c - the sequences that are kept, by model and id.
 *
 * A sequence is found by its model's name, its id and whose it is (the key of the request), not by version: it stays
 * with the instance that it began with, which a reload therefore does not free before (it counts as a holder). Steps
 * wait for each other in their lane (lane.following); the one that has the turn reads `now` and its results go to
 * `then`, which become one when it has ended well.
 *
 * Three limits drop sequences that rest: idle time, number, bytes; whoever rests longest goes first. What was dropped
 * is remembered as a hash of its name, so that a later step is told (410) instead of being taken for one that never
 * began (400). Hashes are keyed by a random number: nobody can choose ids that collide.
 *
 * A start on an id that is live ends what is there. If steps of that are under way in an instance that was replaced,
 * they keep it, and it is no longer found.
 */
#include "serve/sequences.h"

#include "base/err.h"
#include "serve/codec.h"
#include "serve/states.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS_MIN 256
#define DROPPED_MAX 65536

enum reason { DROPPED_NOT, DROPPED_IDLE, DROPPED_NUMBER, DROPPED_BYTES, DROPPED_UNLOADED };

enum { OF_LANE, OF_ALL, LISTS };

struct link {
    struct sequence *older, *younger;
};

struct sequence {
    struct sequence *chain;   /* in its bucket */
    struct link links[LISTS]; /* among those that rest */
    struct sequences *sequences;
    struct served *served;
    uint64_t hash;
    struct job_sequence id; /* its text lies behind the struct */
    int n_jobs;             /* that name it */
    struct job *turn;       /* whose step is computed */
    bool live;              /* begun and not ended */
    bool found;             /* it is in the table */
    int64_t rested_ns;      /* since when, while it rests */
    uint64_t steps;         /* that have happened since it began */
    char *now, *then;       /* states, then those behind the step */
};

struct dropped {
    uint64_t hash;
    uint32_t chain; /* the next in its bucket, from 1; 0: none */
    enum reason reason;
};

struct sequences {
    struct sequence **buckets;
    size_t n_buckets, n;
    size_t n_bytes, most_bytes;
    uint64_t key;
    struct sequence_list resting;
    struct dropped *dropped; /* [DROPPED_MAX], a ring; NULL: none was */
    uint32_t *heads;         /* [DROPPED_MAX] */
    uint32_t n_dropped;      /* so far; kept below twice as many as there is room for */
};

/* --- names -------------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const void *at, size_t n)
{
    for (const uint8_t *byte = at; n--; byte++)
        hash = (hash ^ *byte) * 0x100000001b3;
    return hash ^ hash >> 29;
}

static uint64_t hash_of(const struct sequences *sequences, const char *model, const struct job_sequence *id)
{
    uint64_t hash = mix(sequences->key, model, strlen(model) + 1);
    hash = mix(hash, &id->owner, sizeof id->owner);
    hash = mix(hash, &id->number, sizeof id->number);
    hash = mix(hash, id->text.at, bytes_size(id->text));
    hash = (hash ^ sequences->key) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 32;
}

/* "42" or "abc", for sentences. */
struct shown {
    char text[72];
};

static struct shown show(const struct job_sequence *id)
{
    struct shown shown;
    if (bytes_size(id->text))
        snprintf(shown.text, sizeof shown.text, "%.*s", (int)(bytes_size(id->text) > 64 ? 64 : bytes_size(id->text)),
                 (const char *)id->text.at);
    else
        snprintf(shown.text, sizeof shown.text, "%" PRIu64, id->number);
    return shown;
}

static bool is_called(const struct sequence *sequence, const char *model, const struct job_sequence *id)
{
    return sequence->id.number == id->number && sequence->id.owner == id->owner &&
           bytes_equal(sequence->id.text, id->text) && strcmp(sequence->served->name, model) == 0;
}

static struct sequence *find(const struct sequences *sequences, const char *model, const struct job_sequence *id)
{
    if (!sequences->n_buckets)
        return NULL;
    const uint64_t hash = hash_of(sequences, model, id);
    struct sequence *at = sequences->buckets[hash & (sequences->n_buckets - 1)];
    while (at && (at->hash != hash || !is_called(at, model, id)))
        at = at->chain;
    return at;
}

/* --- what was dropped --------------------------------------------------------------------------------------------- */

static uint32_t *head_of(const struct sequences *sequences, uint64_t hash)
{
    return &sequences->heads[hash & (DROPPED_MAX - 1)];
}

static void forget_oldest(struct sequences *sequences, uint32_t slot)
{
    struct dropped *old = &sequences->dropped[slot];
    if (sequences->n_dropped < DROPPED_MAX)
        return;
    uint32_t *at = head_of(sequences, old->hash);
    while (*at != slot + 1)
        at = &sequences->dropped[*at - 1].chain;
    *at = old->chain;
}

/* Where there is no memory for it, it is told later that it never began. */
static void remember(struct sequences *sequences, uint64_t hash, enum reason reason)
{
    if (!sequences->dropped)
        sequences->dropped = arena_buffer(DROPPED_MAX * sizeof *sequences->dropped);
    if (!sequences->heads)
        sequences->heads = arena_buffer(DROPPED_MAX * sizeof *sequences->heads);
    if (!sequences->dropped || !sequences->heads)
        return;
    const uint32_t slot = sequences->n_dropped % DROPPED_MAX;
    forget_oldest(sequences, slot);
    uint32_t *head = head_of(sequences, hash);
    sequences->dropped[slot] = (struct dropped){.hash = hash, .chain = *head, .reason = reason};
    *head = slot + 1;
    if (++sequences->n_dropped == 2 * DROPPED_MAX)
        sequences->n_dropped = DROPPED_MAX; /* full, and at the same slot */
}

static struct dropped *dropped_as(const struct sequences *sequences, uint64_t hash)
{
    if (!sequences->dropped || !sequences->heads)
        return NULL;
    uint32_t at = *head_of(sequences, hash);
    while (at && sequences->dropped[at - 1].hash != hash)
        at = sequences->dropped[at - 1].chain;
    return at ? &sequences->dropped[at - 1] : NULL;
}

/* --- those that rest ---------------------------------------------------------------------------------------------- */

static void append(struct sequence_list *list, struct sequence *sequence, int which)
{
    sequence->links[which] = (struct link){.older = list->last};
    if (list->last)
        list->last->links[which].younger = sequence;
    else
        list->first = sequence;
    list->last = sequence;
}

static void take_out(struct sequence_list *list, struct sequence *sequence, int which)
{
    const struct link link = sequence->links[which];
    if (link.older)
        link.older->links[which].younger = link.younger;
    else
        list->first = link.younger;
    if (link.younger)
        link.younger->links[which].older = link.older;
    else
        list->last = link.older;
}

static void rest(struct sequence *sequence, int64_t now_ns)
{
    sequence->rested_ns = now_ns;
    append(&sequence->served->lane->resting, sequence, OF_LANE);
    append(&sequence->sequences->resting, sequence, OF_ALL);
}

static void wake(struct sequence *sequence)
{
    take_out(&sequence->served->lane->resting, sequence, OF_LANE);
    take_out(&sequence->sequences->resting, sequence, OF_ALL);
}

/* --- birth and death ---------------------------------------------------------------------------------------------- */

static size_t cost_of(const struct served *served)
{
    return 2 * served->states->n_bytes + sizeof(struct sequence);
}

static bool grow(struct sequences *sequences)
{
    if (sequences->n < sequences->n_buckets)
        return true;
    const size_t n = sequences->n_buckets ? 2 * sequences->n_buckets : BUCKETS_MIN;
    struct sequence **buckets = arena_buffer(n * sizeof(struct sequence *));
    if (!buckets)
        return sequences->n_buckets > 0;
    for (size_t i = 0; i < sequences->n_buckets; i++)
        for (struct sequence *at = sequences->buckets[i], *chain; at; at = chain) {
            chain = at->chain;
            at->chain = buckets[at->hash & (n - 1)];
            buckets[at->hash & (n - 1)] = at;
        }
    arena_buffer_free(sequences->buckets);
    sequences->buckets = buckets;
    sequences->n_buckets = n;
    return true;
}

/* It is found no more; its steps go on. */
static void hide(struct sequence *sequence)
{
    struct sequences *sequences = sequence->sequences;
    if (!sequence->found)
        return;
    struct sequence **at = &sequences->buckets[sequence->hash & (sequences->n_buckets - 1)];
    while (*at != sequence)
        at = &(*at)->chain;
    *at = sequence->chain;
    sequence->found = false;
    sequences->n--;
}

/* No job may name it. */
static void end(struct sequence *sequence)
{
    struct served *served = sequence->served;
    assert(!sequence->n_jobs);
    hide(sequence);
    sequence->sequences->n_bytes -= cost_of(served);
    served->stats.sequences--;
    served->n_holders--;
    arena_buffer_free(sequence->now);
    arena_buffer_free(sequence->then);
    arena_buffer_free(sequence);
}

static void drop(struct sequence *sequence, enum reason reason)
{
    remember(sequence->sequences, sequence->hash, reason);
    sequence->served->stats.sequences_dropped++;
    wake(sequence);
    end(sequence);
}

static struct sequence *allocate(const struct served *served, const struct job_sequence *id)
{
    const size_t n_text = bytes_size(id->text), n_bytes = served->states->n_bytes;
    struct sequence *sequence = arena_buffer(sizeof *sequence + n_text + 1);
    if (!sequence)
        return NULL;
    sequence->now = arena_buffer(n_bytes ? n_bytes : 1);
    sequence->then = arena_buffer(n_bytes ? n_bytes : 1);
    if (!sequence->now || !sequence->then) {
        arena_buffer_free(sequence->now);
        arena_buffer_free(sequence->then);
        arena_buffer_free(sequence);
        return NULL;
    }
    char *text = (char *)(sequence + 1);
    if (n_text)
        memcpy(text, id->text.at, n_text);
    sequence->id = (struct job_sequence){.number = id->number, .owner = id->owner, .text = bytes_of(text, n_text)};
    return sequence;
}

/* Room for one more of the lane's: others that rest make it. */
static bool make_room(struct served *served, struct percept_err *err)
{
    struct lane *lane = served->lane;
    struct sequences *sequences = lane->sequences;
    const struct states *states = served->states;
    const size_t n_bytes = cost_of(served);
    while (served->stats.sequences >= states->max_sequences && lane->resting.first)
        drop(lane->resting.first, DROPPED_NUMBER);
    if (served->stats.sequences >= states->max_sequences)
        return err_set(err, ERR_UNAVAILABLE, "model '%s' keeps %d sequences, and steps of all are under way",
                       served->name, states->max_sequences);
    if (!sequences->most_bytes)
        return true;
    while (sequences->n_bytes + n_bytes > sequences->most_bytes && sequences->resting.first)
        drop(sequences->resting.first, DROPPED_BYTES);
    return sequences->n_bytes + n_bytes <= sequences->most_bytes ||
           err_set(err, ERR_UNAVAILABLE,
                   "sequences may keep %zu bytes (--sequence-memory): there is no room for one more of %zu",
                   sequences->most_bytes, n_bytes);
}

static struct sequence *begin(struct served *served, const struct job_sequence *id, struct percept_err *err)
{
    struct sequences *sequences = served->lane->sequences;
    if (!make_room(served, err))
        return NULL;
    struct sequence *sequence = grow(sequences) ? allocate(served, id) : NULL;
    if (!sequence)
        return err_null(err, ERR_MEMORY, "out of memory: a sequence of model '%s'", served->name);
    sequence->sequences = sequences;
    sequence->served = served;
    sequence->hash = hash_of(sequences, served->name, id);
    struct sequence **bucket = &sequences->buckets[sequence->hash & (sequences->n_buckets - 1)];
    sequence->chain = *bucket;
    *bucket = sequence;
    sequence->found = true;
    sequences->n++;
    sequences->n_bytes += cost_of(served);
    served->n_holders++;
    served->stats.sequences++;
    struct dropped *before = dropped_as(sequences, sequence->hash);
    if (before)
        before->reason = DROPPED_NOT;
    return sequence;
}

struct sequences *sequences_new(struct percept_err *err)
{
    struct sequences *sequences = arena_buffer(sizeof *sequences);
    if (!sequences)
        return err_null(err, ERR_MEMORY, "out of memory: the sequences");
    if (getrandom(&sequences->key, sizeof sequences->key, GRND_NONBLOCK) != sizeof sequences->key)
        sequences->key = (uint64_t)watch_now_ns() * 0x9e3779b97f4a7c15;
    return sequences;
}

void sequences_limit(struct sequences *sequences, size_t most_bytes)
{
    sequences->most_bytes = most_bytes;
}

void sequences_free(struct sequences *sequences)
{
    if (!sequences)
        return;
    assert(!sequences->n);
    arena_buffer_free(sequences->buckets);
    arena_buffer_free(sequences->dropped);
    arena_buffer_free(sequences->heads);
    arena_buffer_free(sequences);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static bool is_given(const struct job *job, int input)
{
    return job->inputs[input].dtype != PERCEPT_UNDEFINED;
}

/* Without an id a request may bring all states itself, and is no step of anything. */
static bool is_alone(const struct job *job)
{
    const struct states *states = job->served->states;
    for (int i = 0; i < states->n_states; i++)
        if (!is_given(job, states->states[i].input))
            return false;
    return states->n_controls == 0 && states->n_states > 0;
}

static bool take_states(struct job *job, struct percept_err *err)
{
    const struct states *states = job->served->states;
    for (int i = 0; i < states->n_states; i++) {
        const struct state *state = &states->states[i];
        int n;
        const char *name = served_inputs(job->served, &n)[state->input].name;
        const bool given = is_given(job, state->input);
        if (given && !job->sequence.start)
            return err_set(err, ERR_INVALID,
                           "input '%s' is a state of the sequence: it may be given with sequence_start alone", name);
        if (!given && !codec_accept(job, state->input, &state->shape, err))
            return false;
    }
    return true;
}

static bool take_id(struct job *job, const struct control *control, struct percept_tensor *tensor,
                    struct percept_err *err)
{
    const size_t n_bytes = percept_dtype_bytes(tensor->dtype);
    if (bytes_size(job->sequence.text))
        return err_set(err, ERR_INVALID, "model '%s' takes a number as sequence_id, not a text", job->served->name);
    tensor->data = arena_alloc(job->arena, sizeof job->sequence.number);
    if (!tensor->data)
        return err_memory(err, "a correlation id", n_bytes);
    (void)control;
    memcpy(tensor->data, &job->sequence.number, n_bytes); /* little-endian: the low bytes */
    return true;
}

static bool take_controls(struct job *job, struct percept_err *err)
{
    const struct states *states = job->served->states;
    for (int i = 0; i < states->n_controls; i++) {
        const struct control *control = &states->controls[i];
        const bool on = control->kind == CONTROL_READY || (control->kind == CONTROL_START && job->sequence.start) ||
                        (control->kind == CONTROL_END && job->sequence.end);
        struct percept_tensor tensor = on || control->kind == CONTROL_CORRELATION_ID ? control->on : control->off;
        if (control->kind == CONTROL_CORRELATION_ID && !take_id(job, control, &tensor, err))
            return false;
        if (!codec_accept(job, control->input, &tensor, err))
            return false;
    }
    return true;
}

bool sequences_decoded(struct job *job, struct percept_err *err)
{
    const struct served *served = job->served;
    if (!served->states || !(served->states->n_states || served->states->n_controls))
        return !job->sequence.asked ||
               err_set(err, ERR_INVALID,
                       "parameter 'sequence_id': model '%s' keeps nothing between requests; leave it out",
                       served->name);
    if (!job->sequence.asked)
        return is_alone(job) || err_set(err, ERR_INVALID,
                                        "inference request to model '%s' must specify a non-zero or non-empty "
                                        "correlation ID",
                                        served->name);
    if (served_has_batch(served) && job->n_items > 1)
        return err_set(err, ERR_INVALID,
                       "inference request to model '%s' must specify batch-size 1 due to requirements of sequence "
                       "batcher",
                       served->name);
    return take_states(job, err) && take_controls(job, err);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

/* It is not here: it was dropped, or it never began. */
static bool say_lost(const struct served *served, const struct job_sequence *id, struct percept_err *err)
{
    const struct sequences *sequences = served->lane->sequences;
    const struct dropped *dropped = dropped_as(sequences, hash_of(sequences, served->name, id));
    static const char *const why[] = {
        [DROPPED_IDLE] = "nothing was asked of it for too long",
        [DROPPED_NUMBER] = "others took its place: there are too many",
        [DROPPED_BYTES] = "others took its place: they keep too many bytes",
        [DROPPED_UNLOADED] = "its model was unloaded",
    };
    const struct shown shown = show(id);
    if (dropped && dropped->reason != DROPPED_NOT)
        return err_set(err, ERR_GONE, "sequence %s of model '%s' was dropped: %s; begin again with sequence_start",
                       shown.text, served->name, why[dropped->reason]);
    return err_set(
        err, ERR_INVALID,
        "inference request for sequence %s to model '%s' must specify the START flag on the first request of "
        "the sequence",
        shown.text, served->name);
}

static enum sequence_turn refuse_lost(struct job *job)
{
    say_lost(job->served, &job->sequence, &job->err);
    return SEQUENCE_REFUSED;
}

struct served *sequences_home(const struct job *job)
{
    const struct sequence *sequence = find(job->served->lane->sequences, job->served->name, &job->sequence);
    return sequence && sequence->served != job->served && !job->sequence.start ? sequence->served : NULL;
}

/* A new one begins in another instance. */
static struct sequence *replace(struct sequence *old)
{
    hide(old);
    if (!old->n_jobs) {
        wake(old);
        end(old);
    }
    return NULL;
}

enum sequence_turn sequences_enter(struct job *job)
{
    struct sequence *sequence = find(job->served->lane->sequences, job->served->name, &job->sequence);
    if (sequence && sequence->served != job->served)
        sequence = replace(sequence);
    if (!sequence && !job->sequence.start)
        return refuse_lost(job);
    const bool rested = sequence && !sequence->n_jobs;
    if (!sequence)
        sequence = begin(job->served, &job->sequence, &job->err);
    if (!sequence)
        return SEQUENCE_REFUSED;
    if (rested)
        wake(sequence);
    sequence->n_jobs++;
    job->sequence.of = sequence;
    return sequence->turn || sequence->n_jobs > 1 ? SEQUENCE_WAITS : sequences_follow(job);
}

enum sequence_turn sequences_follow(struct job *job)
{
    struct sequence *sequence = job->sequence.of;
    const struct states *states = sequence->served->states;
    if (!job->sequence.start && !sequence->live)
        return refuse_lost(job);
    sequence->live = true;
    sequence->turn = job;
    job->sequence.kept = false;
    job->sequence.before = job->sequence.start ? NULL : sequence->now;
    job->sequence.behind = sequence->then;
    for (int i = 0; i < states->n_states && !job->sequence.at_turn; i++) {
        const struct state *state = &states->states[i];
        struct percept_tensor *input = &job->inputs[state->input];
        if (!input->data) /* is read alone */
            input->data = job->sequence.start ? (void *)(uintptr_t)state->initial : sequence->now + state->offset;
    }
    return SEQUENCE_GOES;
}

bool sequences_keep(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    struct sequence *sequence = job->sequence.of;
    const struct states *states = sequence->served->states;
    for (int i = 0; i < states->n_states; i++) {
        const struct state *state = &states->states[i];
        const struct percept_tensor *result = &results[state->output];
        if (!states_shaped(state, result, err))
            return false;
        if (!watch_copy(&job->watch, sequence->then + state->offset, result->data, state->n_bytes))
            return watch_refuse(&job->watch, err);
    }
    if (job->sequence.before)
        memcpy(sequence->then + states->sound.offset, sequence->now + states->sound.offset, states->sound.n_bytes);
    else
        memset(sequence->then + states->sound.offset, 0, states->sound.n_bytes);
    job->sequence.kept = true;
    return true;
}

/* The step has happened, or it has not. */
static void finish_step(struct sequence *sequence, const struct job *job)
{
    sequence->turn = NULL;
    if (job->err.code != ERR_NONE || !job->sequence.kept) {
        sequence->live &= !job->sequence.start;
        return;
    }
    char *before = sequence->now;
    sequence->now = sequence->then;
    sequence->then = before;
    sequence->steps = job->sequence.start ? 1 : sequence->steps + 1;
    sequence->live &= !job->sequence.end;
}

struct sequence *sequences_leave(struct job *job, int64_t now_ns)
{
    struct sequence *sequence = job->sequence.of;
    if (!sequence)
        return NULL;
    job->sequence.of = NULL;
    sequence->n_jobs--;
    if (sequence->turn == job)
        finish_step(sequence, job);
    if (sequence->n_jobs)
        return sequence->turn ? NULL : sequence;
    if (!sequence->live || !sequence->found) {
        end(sequence);
        return NULL;
    }
    rest(sequence, now_ns);
    if (sequence->served->lane->forgetful)
        drop(sequence, DROPPED_UNLOADED);
    return NULL;
}

/* --- what others may see and move --------------------------------------------------------------------------------- */

static struct sequence_view view_of(const struct sequence *sequence, int64_t now_ns)
{
    return (struct sequence_view){.served = sequence->served,
                                  .number = sequence->id.number,
                                  .text = sequence->id.text,
                                  .steps = sequence->steps,
                                  .busy = sequence->n_jobs > 0,
                                  .idle_ns = sequence->n_jobs ? 0 : now_ns - sequence->rested_ns,
                                  .states = bytes_of(sequence->now, sequence->served->states->n_bytes)};
}

bool sequences_look(const struct served *served, const struct job_sequence *id, int64_t now_ns,
                    struct sequence_view *view, struct percept_err *err)
{
    const struct sequence *sequence = find(served->lane->sequences, served->name, id);
    if (!sequence)
        return say_lost(served, id, err);
    *view = view_of(sequence, now_ns);
    return true;
}

int sequences_list(const struct served *served, uint64_t owner, int64_t now_ns, struct sequence_view *views, int most)
{
    const struct sequences *sequences = served->lane->sequences;
    int n = 0;
    for (size_t i = 0; i < sequences->n_buckets; i++)
        for (const struct sequence *at = sequences->buckets[i]; at && n < most; at = at->chain)
            if (at->id.owner == owner && strcmp(at->served->name, served->name) == 0)
                views[n++] = view_of(at, now_ns);
    return n;
}

static bool end_resting(const struct served *served, struct sequence *sequence, const struct job_sequence *id,
                        struct percept_err *err)
{
    if (sequence->n_jobs)
        return err_set(err, ERR_UNAVAILABLE, "a step of sequence %s of model '%s' is under way; try again",
                       show(id).text, served->name);
    wake(sequence);
    end(sequence);
    return true;
}

bool sequences_end(const struct served *served, const struct job_sequence *id, struct percept_err *err)
{
    struct sequence *sequence = find(served->lane->sequences, served->name, id);
    return sequence ? end_resting(served, sequence, id, err) : say_lost(served, id, err);
}

bool sequences_put(struct served *served, const struct job_sequence *id, uint64_t steps, struct bytes kept,
                   int64_t now_ns, struct percept_err *err)
{
    struct sequence *sequence = find(served->lane->sequences, served->name, id);
    assert(bytes_size(kept) == served->states->n_bytes);
    if (sequence && !end_resting(served, sequence, id, err))
        return false;
    sequence = begin(served, id, err);
    if (!sequence)
        return false;
    if (bytes_size(kept))
        memcpy(sequence->now, kept.at, bytes_size(kept));
    sequence->steps = steps;
    sequence->live = true;
    rest(sequence, now_ns);
    return true;
}

/* --- limits ------------------------------------------------------------------------------------------------------- */

int64_t sequences_expire(struct lane *lane, int64_t now_ns)
{
    if (!lane->resting.first)
        return LANE_NEVER;
    const int64_t idle_ns = lane->served->states->max_idle_ns;
    while (lane->resting.first && now_ns - lane->resting.first->rested_ns >= idle_ns)
        drop(lane->resting.first, DROPPED_IDLE);
    return lane->resting.first ? lane->resting.first->rested_ns + idle_ns : LANE_NEVER;
}

void sequences_drop_all(struct lane *lane)
{
    lane->forgetful = true;
    while (lane->resting.first)
        drop(lane->resting.first, DROPPED_UNLOADED);
}
