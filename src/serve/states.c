/*
 * states.c - see states.h.
 *
 * A sequence's step is a request of one item, so a state has a shape that is known at load: where the network leaves an
 * axis free, it is 1. What an output really is only a run can tell; sequences.c looks before it is kept.
 */
#include "serve/states.h"

#include "base/err.h"
#include "serve/sound_rest.h"

#include <string.h>

#define DEFAULT_IDLE_NS ((int64_t)60 * 1000000000)
#define DEFAULT_SEQUENCES 65536
#define ALIGNMENT 64
#define STATE_MAX_BYTES ((size_t)1 << 30)

/* What is being made. */
struct maker {
    const struct manifest *manifest;
    const struct percept_io *inputs, *outputs;
    int n_inputs, n_outputs;
    struct arena *arena;
    struct states *made;
    struct percept_err *err;
};

static int index_of(const struct percept_io *ios, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(ios[i].name, name) == 0)
            return i;
    return -1;
}

/* An input that nothing else feeds; -1. */
static int take_input(struct maker *maker, const char *what, const char *name, enum states_role role)
{
    const int input = index_of(maker->inputs, maker->n_inputs, name);
    if (input < 0) {
        err_set(maker->err, ERR_CONFIG, "sequence.%s: the model has no input '%s'", what, name);
        return -1;
    }
    if (maker->made->roles[input] != ROLE_BODY) {
        err_set(maker->err, ERR_CONFIG, "sequence.%s: input '%s' is there twice", what, name);
        return -1;
    }
    maker->made->roles[input] = role;
    return input;
}

static bool same_dim(int64_t a, int64_t b)
{
    return a < 0 || b < 0 || a == b;
}

static bool alike(const struct percept_io *input, const struct percept_io *output)
{
    if (input->dtype != output->dtype)
        return false;
    if (input->rank < 0 || output->rank < 0)
        return true;
    for (int i = 0; i < input->rank && input->rank == output->rank; i++)
        if (!same_dim(input->dims[i], output->dims[i]))
            return false;
    return input->rank == output->rank;
}

/* One item of an input, and its bytes. */
static bool one_item(const struct maker *maker, const struct percept_io *io, struct percept_tensor *tensor,
                     size_t *n_bytes)
{
    *tensor = (struct percept_tensor){.dtype = io->dtype, .rank = io->rank > 0 ? io->rank : 0};
    *n_bytes = percept_dtype_bytes(io->dtype);
    if (io->dtype == PERCEPT_STRING)
        return err_set(maker->err, ERR_CONFIG, "sequence: input '%s' takes texts; numbers can be kept", io->name);
    if (io->rank < 0)
        return err_set(maker->err, ERR_CONFIG, "sequence: input '%s' has no rank in the model's file", io->name);
    for (int i = 0; i < io->rank; i++) {
        tensor->dims[i] = io->dims[i] < 0 ? 1 : io->dims[i];
        if (!arena_multiply(*n_bytes, (size_t)tensor->dims[i], n_bytes) || *n_bytes > STATE_MAX_BYTES)
            return err_set(maker->err, ERR_CONFIG, "sequence: input '%s' is too large to be kept", io->name);
    }
    return true;
}

static bool make_state(struct maker *maker, const struct manifest_state *said)
{
    struct states *made = maker->made;
    struct state *state = &made->states[made->n_states];
    state->input = take_input(maker, "state", said->input, ROLE_STATE);
    if (state->input < 0)
        return false;
    state->output = index_of(maker->outputs, maker->n_outputs, said->output);
    if (state->output < 0)
        return err_set(maker->err, ERR_CONFIG, "sequence.state: the model has no output '%s'", said->output);
    const struct percept_io *input = &maker->inputs[state->input];
    if (!alike(input, &maker->outputs[state->output]))
        return err_set(maker->err, ERR_CONFIG, "sequence.state: output '%s' has another type or shape than input '%s'",
                       said->output, said->input);
    if (!one_item(maker, input, &state->shape, &state->n_bytes))
        return false;
    if (said->initial && bytes_size(*said->initial) != state->n_bytes)
        return err_set(maker->err, ERR_CONFIG, "sequence.state: the initial state of '%s' has %zu bytes; it takes %zu",
                       said->input, bytes_size(*said->initial), state->n_bytes);
    state->initial = said->initial ? (const void *)said->initial->at : arena_alloc(maker->arena, state->n_bytes + 1);
    if (!state->initial)
        return err_memory(maker->err, "a state", state->n_bytes);
    state->offset = made->n_bytes;
    made->kept[state->output] = true;
    made->n_bytes += (state->n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    made->n_states++;
    return made->n_bytes <= STATE_MAX_BYTES ||
           err_set(maker->err, ERR_CONFIG, "sequence.state: the states are too large to be kept");
}

/* --- controls ----------------------------------------------------------------------------------------------------- */

static bool takes_flag(enum percept_dtype dtype)
{
    return dtype == PERCEPT_FLOAT || dtype == PERCEPT_DOUBLE || dtype == PERCEPT_INT32 || dtype == PERCEPT_INT64 ||
           dtype == PERCEPT_BOOL || dtype == PERCEPT_UINT8;
}

static bool takes_id(enum percept_dtype dtype)
{
    return dtype == PERCEPT_UINT64 || dtype == PERCEPT_INT64 || dtype == PERCEPT_UINT32 || dtype == PERCEPT_INT32;
}

static void put_number(void *to, enum percept_dtype dtype, double value)
{
    if (dtype == PERCEPT_FLOAT)
        *(float *)to = (float)value;
    else if (dtype == PERCEPT_DOUBLE)
        *(double *)to = value;
    else if (dtype == PERCEPT_INT32)
        *(int32_t *)to = (int32_t)value;
    else if (dtype == PERCEPT_INT64)
        *(int64_t *)to = (int64_t)value;
    else
        *(uint8_t *)to = value != 0;
}

static bool one_value(const struct maker *maker, const struct percept_tensor *shape, double value,
                      struct percept_tensor *tensor)
{
    *tensor = *shape;
    tensor->data = arena_alloc(maker->arena, sizeof(double));
    if (!tensor->data)
        return err_memory(maker->err, "a control", sizeof(double));
    put_number(tensor->data, tensor->dtype, value);
    return true;
}

static bool make_control(struct maker *maker, const struct manifest_control *said)
{
    struct control *control = &maker->made->controls[maker->made->n_controls++];
    const bool is_id = said->kind == CONTROL_CORRELATION_ID;
    size_t n_bytes;
    control->kind = said->kind;
    control->input = take_input(maker, "control", said->input, ROLE_CONTROL);
    if (control->input < 0 || !one_item(maker, &maker->inputs[control->input], &control->on, &n_bytes))
        return false;
    const struct percept_tensor shape = control->on;
    if (n_bytes != percept_dtype_bytes(shape.dtype))
        return err_set(maker->err, ERR_CONFIG, "sequence.control: input '%s' takes more than one number", said->input);
    if (!(is_id ? takes_id(shape.dtype) : takes_flag(shape.dtype)))
        return err_set(maker->err, ERR_CONFIG, "sequence.control: input '%s' takes %s; %s", said->input,
                       percept_dtype_name(shape.dtype),
                       is_id ? "a correlation id is an integer of 32 or 64 bits"
                             : "a control is float, double, int32, int64, bool or uint8");
    return is_id ||
           (one_value(maker, &shape, said->off, &control->off) && one_value(maker, &shape, said->on, &control->on));
}

/* --- a sound ------------------------------------------------------------------------------------------------------ */

/* The only input that clients send is a sound that is cut into windows; -1. */
static int sound_input(const struct maker *maker)
{
    int found = -1;
    for (int i = 0; i < maker->n_inputs; i++) {
        const struct manifest_input *said = manifest_input(maker->manifest, maker->inputs[i].name);
        if (maker->made->roles[i] != ROLE_BODY || (said && said->kind == MANIFEST_CONSTANT))
            continue;
        if (found >= 0 || !said || said->kind != MANIFEST_AUDIO || !sound_rest_serves(&said->audio))
            return -1;
        found = i;
    }
    return found;
}

static void make_sound(struct maker *maker)
{
    struct states *made = maker->made;
    made->sound.input = made->n_controls ? -1 : sound_input(maker);
    if (made->sound.input < 0)
        return;
    made->sound.audio = &manifest_input(maker->manifest, maker->inputs[made->sound.input].name)->audio;
    made->sound.offset = made->n_bytes;
    made->sound.n_bytes = sound_rest_bytes(made->sound.audio);
    made->n_bytes += (made->sound.n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static bool reserve(struct maker *maker, const struct manifest_sequence *said)
{
    struct states *made = arena_alloc(maker->arena, sizeof *made);
    if (!made)
        return false;
    maker->made = made;
    made->states = arena_array(maker->arena, (size_t)said->n_states + 1, sizeof *made->states);
    made->controls = arena_array(maker->arena, (size_t)said->n_controls + 1, sizeof *made->controls);
    made->roles = arena_array(maker->arena, (size_t)maker->n_inputs + 1, sizeof *made->roles);
    made->kept = arena_array(maker->arena, (size_t)maker->n_outputs + 1, sizeof *made->kept);
    made->max_idle_ns = said->max_idle_us ? said->max_idle_us * 1000 : DEFAULT_IDLE_NS;
    made->max_sequences = said->max_sequences ? said->max_sequences : DEFAULT_SEQUENCES;
    return made->states && made->controls && made->roles && made->kept;
}

static bool make(struct maker *maker, const struct manifest_sequence *said)
{
    for (int i = 0; i < said->n_states; i++)
        if (!make_state(maker, &said->states[i]))
            return false;
    for (int i = 0; i < said->n_controls; i++)
        if (!make_control(maker, &said->controls[i]))
            return false;
    for (int i = 0; i < maker->n_outputs; i++)
        maker->made->answers |= !maker->made->kept[i];
    make_sound(maker);
    return true;
}

bool states_new(const struct served *served, struct arena *arena, const struct states **states, struct percept_err *err)
{
    const struct manifest_sequence *said = &served->manifest->sequence;
    struct maker maker = {.manifest = served->manifest, .arena = arena, .err = err};
    *states = NULL;
    maker.inputs = served_inputs(served, &maker.n_inputs);
    maker.outputs = served_outputs(served, &maker.n_outputs);
    if (!reserve(&maker, said))
        return err_memory(err, "the states of a sequence", sizeof *maker.made);
    if (!make(&maker, said)) {
        const char *path = served->manifest->config_path ? served->manifest->config_path : served->manifest->path;
        return err_prefix(err, "%s: ", path);
    }
    *states = said->given || maker.made->sound.input >= 0 ? maker.made : NULL;
    return true;
}

bool states_shaped(const struct state *state, const struct percept_tensor *result, struct percept_err *err)
{
    bool same = result->dtype == state->shape.dtype && result->rank == state->shape.rank;
    for (int i = 0; i < state->shape.rank && same; i++)
        same = result->dims[i] == state->shape.dims[i];
    return same || err_set(err, ERR_DATA, "the state behind this step is not shaped like the one before it");
}
