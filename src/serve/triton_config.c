/*
 * triton_config.c - config.pbtxt to a manifest.
 *
 * pbtxt.c makes a tree of the text, the rows of triton_config.def say what the tree may hold and what becomes of each
 * field. Three things can become of it. It is taken: names, types, dims, batching, sequences, versions, labels,
 * parameters, warm-up, the steps of an ensemble. It has no bearing on what is answered (which GPU, how it is
 * optimized): its name is kept, for one line of the log. Or it means other answers than we would give (operators of a
 * library): then the model is refused, with the field as the reason: serving it without would be wrong in silence.
 *
 * As Triton does, a name that is no field of ModelConfig is refused, a field that may come once and comes twice too,
 * and max_batch_size above 0 means that each tensor has an axis more than its dims, the batch, in front. Where dims are
 * given and max_batch_size is not, it is 0: no axis is a batch. Where nothing is declared the network speaks for
 * itself. Whether what is declared is so, fit.c judges.
 *
 * Threads: a loader's. The tree lives until it is read; the manifest and its texts are in the caller's arena.
 */
#include "serve/triton_config.h"

#include "base/err.h"
#include "base/file.h"
#include "serve/lines.h"
#include "serve/pbtxt.h"
#include "serve/stages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define IOS_MAX 1024
#define ENTRIES_MAX 1024 /* parameters; inputs of warm-up requests */
#define WARMUPS_MAX 64
#define BATCH_SIZE_MAX 4096
#define QUEUE_DELAY_MAX_US 60000000
#define QUEUE_SIZE_MAX 1048576
#define TIMEOUT_MAX_US 3600000000

enum type { STRING, BOOL, INT32, INT64, UINT32, UINT64, REAL, ENUM, MESSAGE };

/* Where we are: for what is wrong. */
struct place {
    const struct place *outer;
    const char *name;
};

struct reader {
    const char *path;
    struct arena *arena; /* of the manifest */
    struct manifest *manifest;
    struct arena scratch; /* of the tree */
    bool is_ensemble;     /* by its platform */
    char ignored[400];
    struct percept_err *err;
};

/* A field whose value has been judged; `number` of a number, enumerator or truth, cut to int64. The target is that of
 * its message. */
typedef bool take_field(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                        void *target);

struct row {
    const char *message, *field;
    enum type type;
    const char *detail;
    bool many;
    bool stored, ignored;
    size_t at;
    const char *refused;
    take_field *take;
    enum triton_sent sent;
};

/* What some messages come to while they are read. */
struct control_input {
    const char *name;
    int kind, n_values;
    double values[2]; /* false, true */
};

struct queue_policy {
    int action;
    int64_t timeout_us, size;
};

struct instances {
    int count;
};

struct text_entry {
    const char *key, *value;
};

/* --- what is wrong ------------------------------------------------------------------------------------------------ */

static void print_place(const struct place *place, char *text, size_t n_bytes)
{
    *text = '\0';
    if (!place)
        return;
    print_place(place->outer, text, n_bytes);
    size_t used = strlen(text);
    snprintf(text + used, n_bytes - used, "%s%s", used ? "." : "", place->name);
}

static bool refuse(const struct reader *reader, const struct place *place, const struct pbtxt *field,
                   enum err_code code, const char *format, ...) __attribute__((cold, format(printf, 5, 6)));

static bool refuse(const struct reader *reader, const struct place *place, const struct pbtxt *field,
                   enum err_code code, const char *format, ...)
{
    char where[160], what[320];
    print_place(place, where, sizeof where);
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return err_set(reader->err, code, "%s: line %d, column %d: %s: %s", reader->path, field->line, field->column, where,
                   what);
}

#define WRONG(...) refuse(reader, place, field, ERR_CONFIG, __VA_ARGS__)
#define LACKING(...) refuse(reader, place, field, ERR_UNSUPPORTED, __VA_ARGS__)

static bool no_memory(const struct reader *reader)
{
    return err_memory(reader->err, "config.pbtxt", 1);
}

static const char *copy(const struct reader *reader, const char *text)
{
    const char *own = arena_text(reader->arena, text, strlen(text));
    if (!own)
        no_memory(reader);
    return own;
}

/* Names it once among what has no effect. */
static void ignore(struct reader *reader, const struct place *place)
{
    char name[80];
    print_place(place, name, sizeof name);
    size_t used = strlen(reader->ignored), n = strlen(name);
    for (const char *at = reader->ignored; (at = strstr(at, name)) != NULL; at += n)
        if ((at == reader->ignored || at[-1] == ' ') && (at[n] == '\0' || at[n] == ','))
            return;
    if (used + n + 3 < sizeof reader->ignored)
        snprintf(reader->ignored + used, sizeof reader->ignored - used, "%s%s", used ? ", " : "", name);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static take_field take_platform, take_version_policy, take_max_batch_size, take_input, take_output, take_batching,
    take_instances, take_model_file, take_parameter, take_warmup, take_data_type, take_dim, take_queue_delay,
    take_queue_policy, take_instance_kind, take_parameter_value, take_warmup_size, take_warmup_input, take_warmup_count,
    take_sequence, take_strategy, take_idle, take_control_input, take_control, take_false_true, take_state,
    take_initial_state, take_ensemble, take_step, take_step_version, take_input_map, take_output_map, take_warmup_value,
    take_warmup_type, take_warmup_dim, take_warmup_random, take_warmup_file;

static const struct row rows[] = {
#define ONE false
#define MANY true
#define STORED(type, member) .stored = true, .at = offsetof(struct type, member)
#define TAKEN(function) .take = (function)
#define KNOWN .stored = false
#define IGNORED .ignored = true
#define REFUSED(why) .refused = (why)
#define SENT(what) .sent = (what)
#define F(message, field, type, detail, many, ...) {#message, #field, type, detail, many, __VA_ARGS__},
#include "serve/triton_config.def"
#undef F
};

#define N_ROWS ((int)(sizeof rows / sizeof *rows))

bool triton_config_row(int i, const char **message, const char **field, bool *served)
{
    if (i < 0 || i >= N_ROWS)
        return false;
    *message = rows[i].message;
    *field = rows[i].field;
    *served = !rows[i].refused;
    return true;
}

static const struct row *row_of(const char *message, struct bytes field)
{
    for (int i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i].message, message) == 0 && bytes_is(field, rows[i].field))
            return &rows[i];
    return NULL;
}

bool triton_config_sent(const char *message, struct bytes field, enum triton_sent *sent)
{
    const struct row *row = row_of(message, field);
    if (row)
        *sent = row->sent == SENT_NOTHING && row->refused ? SENT_REFUSED : row->sent;
    return row != NULL;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* The number of a word among "a|b|c"; -1: none of them. */
static int64_t word_of(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (int64_t i = 0;; i++) {
        size_t length = strcspn(words, "|");
        if (n == length && memcmp(words, word, n) == 0)
            return i;
        if (!words[length])
            return -1;
        words += length + 1;
    }
}

static int64_t words_in(const char *words)
{
    int64_t n = 1;
    for (; *words; words++)
        n += *words == '|';
    return n;
}

static bool read_enum(const struct reader *reader, const struct place *place, const struct row *row,
                      const struct pbtxt *field, int64_t *number)
{
    if (field->kind == PBTXT_WORD)
        *number = word_of(row->detail, field->text);
    if (field->kind == PBTXT_WORD && *number < 0 && !pbtxt_int64(field, number))
        *number = -1;
    if (field->kind == PBTXT_WORD && *number >= 0 && *number < words_in(row->detail))
        return true;
    return WRONG("expected one of %.240s", row->detail);
}

static bool read_whole(const struct reader *reader, const struct place *place, const struct row *row,
                       const struct pbtxt *field, int64_t *number)
{
    static const struct {
        int64_t low;
        uint64_t high;
    } ranges[] = {[INT32] = {INT32_MIN, INT32_MAX},
                  [INT64] = {INT64_MIN, INT64_MAX},
                  [UINT32] = {0, UINT32_MAX},
                  [UINT64] = {0, UINT64_MAX}};
    uint64_t natural;
    if (pbtxt_int64(field, number) && *number >= ranges[row->type].low &&
        (*number < 0 || (uint64_t)*number <= ranges[row->type].high))
        return true;
    if (row->type == UINT64 && pbtxt_uint64(field, &natural)) {
        *number = INT64_MAX;
        return true;
    }
    return WRONG("expected a whole number from %" PRId64 " to %" PRIu64, ranges[row->type].low, ranges[row->type].high);
}

/* Is it of the row's type? Not for messages. */
static bool read_scalar(const struct reader *reader, const struct place *place, const struct row *row,
                        const struct pbtxt *field, int64_t *number)
{
    bool flag = false;
    double real = 0;
    switch (row->type) {
    case STRING:
        *number = field->kind == PBTXT_STRING && *field->text;
        return field->kind == PBTXT_STRING || WRONG("expected a string in quotes");
    case BOOL:
        if (!pbtxt_bool(field, &flag))
            return WRONG("expected true or false");
        *number = flag;
        return true;
    case REAL:
        if (!pbtxt_double(field, &real))
            return WRONG("expected a number");
        *number = real != 0;
        return true;
    case ENUM:
        return read_enum(reader, place, row, field, number);
    default:
        return read_whole(reader, place, row, field, number);
    }
}

static bool store(const struct reader *reader, const struct row *row, const struct pbtxt *field, int64_t number,
                  void *target)
{
    void *to = (char *)target + row->at;
    const int small = (int)number;
    const bool flag = number != 0;
    if (row->type == STRING) {
        const char *text = copy(reader, field->text);
        memcpy(to, &text, sizeof text);
        return text != NULL;
    }
    if (row->type == BOOL)
        memcpy(to, &flag, sizeof flag);
    else if (row->type == INT32 || row->type == ENUM)
        memcpy(to, &small, sizeof small);
    else
        memcpy(to, &number, sizeof number);
    return true;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static bool read_message(struct reader *reader, const struct place *outer, const char *message,
                         const struct pbtxt *tree, void *target);

/* With a NULL target the field is judged and nothing is made of it. */
static bool read_field(struct reader *reader, const struct place *place, const struct row *row,
                       const struct pbtxt *field, void *target)
{
    int64_t number = 1;
    if (row->type == MESSAGE && field->kind != PBTXT_MESSAGE)
        return WRONG("expected a message: { ... }");
    if (row->type != MESSAGE && field->kind == PBTXT_MESSAGE)
        return WRONG("expected a value, not a message");
    if (row->type != MESSAGE && !read_scalar(reader, place, row, field, &number))
        return false;
    if (row->refused)
        return !number || LACKING("%s", row->refused);
    if (row->ignored && (number || row->many))
        ignore(reader, place);
    if (target && row->take)
        return row->take(reader, place, field, number, target);
    if (row->type == MESSAGE)
        return read_message(reader, place, row->detail, field, NULL);
    return !target || !row->stored || store(reader, row, field, number, target);
}

static bool comes_again(const struct pbtxt *first, const struct pbtxt *field)
{
    for (; first != field; first = first->next)
        if (strcmp(first->name, field->name) == 0)
            return true;
    return false;
}

static bool read_message(struct reader *reader, const struct place *outer, const char *message,
                         const struct pbtxt *tree, void *target)
{
    for (const struct pbtxt *field = tree->first; field; field = field->next) {
        const struct place inner = {.outer = outer, .name = field->name}, *place = &inner;
        const struct row *row = row_of(message, bytes_of_text(field->name));
        if (!row)
            return WRONG("%s has no such field", message);
        if (!row->many && comes_again(tree->first, field))
            return WRONG("it is specified multiple times, and may be once");
        if (!read_field(reader, place, row, field, target))
            return false;
    }
    return true;
}

static int count(const struct pbtxt *tree, const char *name)
{
    int n = 0;
    for (const struct pbtxt *field = tree->first; field; field = field->next)
        n += strcmp(field->name, name) == 0;
    return n;
}

/* Room for all fields of a name; `n_max` of them at most. False as well where there is no memory. */
static bool reserve(const struct reader *reader, const struct pbtxt *tree, const char *name, int n_max, size_t size,
                    void *list)
{
    const int n = count(tree, name);
    if (n > n_max)
        return err_set(reader->err, ERR_CONFIG, "%s: there are %d of '%s'; at most %d are read", reader->path, n, name,
                       n_max);
    void *room = arena_array(reader->arena, (size_t)n + 1, size);
    if (!room)
        return no_memory(reader);
    memcpy(list, &room, sizeof room);
    return true;
}

/* --- the model ---------------------------------------------------------------------------------------------------- */

static bool take_platform(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                          void *target)
{
    static const char *const ours[] = {"onnxruntime_onnx", "onnx_onnxv1", "onnxruntime", "perceptd", "ensemble"};
    (void)target;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        number = number && strcmp(field->text, ours[i]) != 0;
    reader->is_ensemble |= strcmp(field->text, "ensemble") == 0;
    if (!number)
        return true;
    return LACKING("'%.60s' is not served: ONNX models are (onnxruntime_onnx, onnxruntime); export the network to ONNX",
                   field->text);
}

static bool take_max_batch_size(struct reader *reader, const struct place *place, const struct pbtxt *field,
                                int64_t number, void *target)
{
    struct manifest *manifest = target;
    if (number < 0)
        return WRONG("it must not be negative");
    if (number > BATCH_SIZE_MAX)
        ignore(reader, &(struct place){.name = "max_batch_size above 4096"});
    manifest->max_batch_size = (int)(number > BATCH_SIZE_MAX ? BATCH_SIZE_MAX : number);
    return true;
}

static bool take_model_file(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                            void *target)
{
    struct manifest *manifest = target;
    if (strchr(field->text, '/') || strcmp(field->text, "..") == 0 || strcmp(field->text, ".") == 0)
        return WRONG("'%.80s': expected the name of a file in the version's folder", field->text);
    manifest->model_file = number ? copy(reader, field->text) : NULL;
    return !number || manifest->model_file;
}

static bool take_specific(struct reader *reader, const struct place *place, const struct pbtxt *specific,
                          struct manifest_version_policy *policy)
{
    int64_t *versions;
    if (!reserve(reader, specific, "versions", ENTRIES_MAX, sizeof *versions, &versions))
        return false;
    for (const struct pbtxt *field = specific->first; field; field = field->next) {
        if (!pbtxt_int64(field, &versions[policy->n_versions]) || versions[policy->n_versions] < 1)
            return WRONG("versions count from 1");
        policy->n_versions++;
    }
    policy->versions = versions;
    return true;
}

static bool take_version_policy(struct reader *reader, const struct place *place, const struct pbtxt *field,
                                int64_t number, void *target)
{
    struct manifest_version_policy *policy = &((struct manifest *)target)->version_policy;
    (void)number;
    if (!read_message(reader, place, "ModelVersionPolicy", field, NULL))
        return false;
    const struct pbtxt *choice = field->first;
    if (!choice)
        return true;
    if (choice->next)
        return WRONG("'%s' and '%s' exclude each other", choice->name, choice->next->name);
    if (strcmp(choice->name, "specific") == 0) {
        policy->kind = VERSIONS_SPECIFIC;
        return take_specific(reader, place, choice, policy);
    }
    policy->kind = strcmp(choice->name, "all") == 0 ? VERSIONS_ALL : VERSIONS_LATEST;
    int64_t n = 0;
    if (policy->kind == VERSIONS_LATEST && choice->first)
        pbtxt_int64(choice->first, &n);
    policy->n_latest = n > 0 ? n : 1;
    return true;
}

/* --- inputs and outputs ------------------------------------------------------------------------------------------- */

static bool take_data_type(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                           void *target)
{
    static const enum percept_dtype dtypes[] = {PERCEPT_UNDEFINED, PERCEPT_BOOL,   PERCEPT_UINT8,   PERCEPT_UINT16,
                                                PERCEPT_UINT32,    PERCEPT_UINT64, PERCEPT_INT8,    PERCEPT_INT16,
                                                PERCEPT_INT32,     PERCEPT_INT64,  PERCEPT_FLOAT16, PERCEPT_FLOAT,
                                                PERCEPT_DOUBLE,    PERCEPT_STRING, PERCEPT_BFLOAT16};
    (void)reader, (void)place, (void)field;
    ((struct manifest_io *)target)->dtype = dtypes[number];
    return true;
}

static bool add_dim(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                    int64_t *dims, int *rank)
{
    if (number < 1 && number != -1)
        return WRONG("dimension must be integer >= 1, or -1 to indicate a variable-size dimension");
    *rank = *rank < 0 ? 0 : *rank;
    if (*rank >= PERCEPT_RANK_MAX)
        return WRONG("there are more than %d dimensions", PERCEPT_RANK_MAX);
    dims[(*rank)++] = number;
    return true;
}

static bool take_dim(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                     void *target)
{
    struct manifest_io *io = target;
    return add_dim(reader, place, field, number, io->dims, &io->rank);
}

static bool take_io(struct reader *reader, const struct place *place, const struct pbtxt *field, const char *message,
                    struct manifest_io *list, int *n)
{
    struct manifest_io *io = &list[*n];
    *io = (struct manifest_io){.rank = -1};
    if (!read_message(reader, place, message, field, io))
        return false;
    if (!io->name || !*io->name)
        return WRONG("it has no 'name'");
    for (int i = 0; i < *n; i++)
        if (strcmp(list[i].name, io->name) == 0)
            return WRONG("'%.80s' is there twice", io->name);
    if (io->format != FORMAT_NONE && io->rank >= 0 && io->rank != 3)
        return WRONG("'%.80s': a format needs three dims, it has %d", io->name, io->rank);
    if (io->label_filename && !*io->label_filename)
        io->label_filename = NULL;
    ++*n;
    return true;
}

static bool take_input(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                       void *target)
{
    struct manifest *manifest = target;
    (void)number;
    return take_io(reader, place, field, "ModelInput", manifest->declared_inputs, &manifest->n_declared_inputs);
}

static bool take_output(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                        void *target)
{
    struct manifest *manifest = target;
    (void)number;
    return take_io(reader, place, field, "ModelOutput", manifest->declared_outputs, &manifest->n_declared_outputs);
}

/* --- queues and cores --------------------------------------------------------------------------------------------- */

static void warm_up(struct manifest *manifest, int64_t batch_size)
{
    if (batch_size >= 1 && batch_size <= BATCH_SIZE_MAX && manifest->n_warmup < MANIFEST_WARMUP_MAX)
        manifest->warmup[manifest->n_warmup++] = (int)batch_size;
}

static bool take_batching(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                          void *target)
{
    struct manifest *manifest = target;
    int *sizes, n = 0;
    (void)number;
    if (!read_message(reader, place, "ModelDynamicBatching", field, manifest) ||
        !reserve(reader, field, "preferred_batch_size", ENTRIES_MAX, sizeof *sizes, &sizes))
        return false;
    for (const struct pbtxt *at = field->first; at; at = at->next) {
        int64_t size = 0;
        if (strcmp(at->name, "preferred_batch_size") != 0)
            continue;
        if (!pbtxt_int64(at, &size) || size < 1)
            return WRONG("a preferred_batch_size is at least 1");
        sizes[n++] = (int)size;
        warm_up(manifest, size);
    }
    manifest->n_preferred_batch_sizes = n;
    manifest->preferred_batch_sizes = sizes;
    return true;
}

static bool take_queue_delay(struct reader *reader, const struct place *place, const struct pbtxt *field,
                             int64_t number, void *target)
{
    (void)reader, (void)place, (void)field;
    ((struct manifest *)target)->max_queue_delay_us = number > QUEUE_DELAY_MAX_US ? QUEUE_DELAY_MAX_US : number;
    return true;
}

/* 0 is "no limit" there; ours is the daemon's then. */
static bool take_queue_policy(struct reader *reader, const struct place *place, const struct pbtxt *field,
                              int64_t number, void *target)
{
    struct manifest *manifest = target;
    struct queue_policy policy = {0};
    (void)number;
    if (!read_message(reader, place, "ModelQueuePolicy", field, &policy))
        return false;
    if (policy.size)
        manifest->max_queue_size = (int)(policy.size > QUEUE_SIZE_MAX ? QUEUE_SIZE_MAX : policy.size);
    if (policy.action)
        ignore(reader, &(struct place){.outer = place, .name = "timeout_action: DELAY"});
    if (policy.timeout_us)
        manifest->default_timeout_us = policy.action                        ? -1
                                       : policy.timeout_us > TIMEOUT_MAX_US ? TIMEOUT_MAX_US
                                                                            : policy.timeout_us;
    return true;
}

static bool take_instance_kind(struct reader *reader, const struct place *place, const struct pbtxt *field,
                               int64_t number, void *target)
{
    (void)target, (void)place, (void)field;
    if (number == 1)
        ignore(reader, &(struct place){.name = "instance_group.kind: KIND_GPU"});
    return true;
}

static bool take_instances(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                           void *target)
{
    struct manifest *manifest = target;
    struct instances instances = {.count = 1};
    (void)number;
    if (!read_message(reader, place, "ModelInstanceGroup", field, &instances))
        return false;
    if (instances.count < 0)
        return WRONG("'count' must not be negative");
    if (__builtin_add_overflow(manifest->n_instances, instances.count ? instances.count : 1, &manifest->n_instances))
        return WRONG("there are too many instances");
    return true;
}

/* --- sequences ---------------------------------------------------------------------------------------------------- */

#define DEFAULT_IDLE_US 1000000

static bool take_idle(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                      void *target)
{
    (void)reader, (void)place, (void)field;
    if (number)
        ((struct manifest *)target)->sequence.max_idle_us = number < INT64_MAX / 1000 ? number : INT64_MAX / 1000;
    return true;
}

/* Which of them is asked for makes no difference: a step is run with whatever others there are. */
static bool take_strategy(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                          void *target)
{
    (void)number;
    return read_message(reader, place, strcmp(field->name, "direct") == 0 ? "StrategyDirect" : "StrategyOldest", field,
                        target);
}

static bool take_false_true(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                            void *target)
{
    struct control_input *control = target;
    double value = (double)number;
    if (control->n_values == 2)
        return WRONG("expected two values, for false and for true");
    if (strcmp(field->name, "fp32_false_true") == 0 && !pbtxt_double(field, &value))
        return WRONG("expected a number");
    control->values[control->n_values++] = value;
    return true;
}

static bool take_control(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                         void *target)
{
    (void)number;
    return read_message(reader, place, "Control", field, target);
}

static bool take_control_input(struct reader *reader, const struct place *place, const struct pbtxt *field,
                               int64_t number, void *target)
{
    static const enum manifest_control_kind kinds[] = {CONTROL_START, CONTROL_READY, CONTROL_END,
                                                       CONTROL_CORRELATION_ID};
    struct manifest_sequence *sequence = &((struct manifest *)target)->sequence;
    struct control_input control = {.name = ""};
    (void)number;
    if (count(field, "control") != 1)
        return LACKING("an input with one control is served; it has %d", count(field, "control"));
    if (!read_message(reader, place, "ControlInput", field, &control))
        return false;
    if (kinds[control.kind] != CONTROL_CORRELATION_ID && control.n_values != 2)
        return WRONG("it needs one of int32_false_true, fp32_false_true, bool_false_true with two values");
    sequence->controls[sequence->n_controls++] = (struct manifest_control){
        .input = control.name, .kind = kinds[control.kind], .off = control.values[0], .on = control.values[1]};
    return true;
}

static bool take_initial_state(struct reader *reader, const struct place *place, const struct pbtxt *field,
                               int64_t number, void *target)
{
    (void)number;
    if (count(field, "zero_data") + count(field, "data_file") > 1)
        return WRONG("zero_data and data_file exclude each other");
    return read_message(reader, place, "InitialState", field, target);
}

static bool take_state(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                       void *target)
{
    struct manifest_sequence *sequence = &((struct manifest *)target)->sequence;
    struct manifest_state *state = &sequence->states[sequence->n_states];
    (void)number;
    if (count(field, "initial_state") > 1)
        return WRONG("there is more than one initial_state");
    if (!read_message(reader, place, "State", field, state))
        return false;
    if (!state->input || !state->output)
        return WRONG("it needs an input_name and an output_name");
    sequence->n_states++;
    return true;
}

static bool take_sequence(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                          void *target)
{
    struct manifest *manifest = target;
    struct manifest_sequence *sequence = &manifest->sequence;
    (void)number;
    *sequence = (struct manifest_sequence){.given = true, .max_idle_us = DEFAULT_IDLE_US};
    return reserve(reader, field, "state", MANIFEST_STATES_MAX, sizeof *sequence->states, &sequence->states) &&
           reserve(reader, field, "control_input", MANIFEST_STATES_MAX, sizeof *sequence->controls,
                   &sequence->controls) &&
           read_message(reader, place, "ModelSequenceBatching", field, manifest);
}

/* --- ensembles ---------------------------------------------------------------------------------------------------- */

static bool take_step_version(struct reader *reader, const struct place *place, const struct pbtxt *field,
                              int64_t number, void *target)
{
    if (number != -1 && number < 1)
        return WRONG("a version is at least 1, or -1 for the highest");
    ((struct stage *)target)->version = number < 0 ? 0 : number;
    return true;
}

static bool take_link(struct reader *reader, const struct place *place, const struct pbtxt *field,
                      struct stage_link *links, int *n)
{
    struct text_entry entry = {.key = "", .value = ""};
    if (!read_message(reader, place, "TextEntry", field, &entry))
        return false;
    if (!*entry.key || !*entry.value)
        return WRONG("expected a 'key', the model's name for it, and a 'value', the ensemble's");
    links[(*n)++] = (struct stage_link){.io = entry.key, .value = entry.value};
    return true;
}

static bool take_input_map(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                           void *target)
{
    struct stage *stage = target;
    (void)number;
    return take_link(reader, place, field, stage->inputs, &stage->n_inputs);
}

static bool take_output_map(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                            void *target)
{
    struct stage *stage = target;
    (void)number;
    return take_link(reader, place, field, stage->outputs, &stage->n_outputs);
}

static bool take_step(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                      void *target)
{
    struct stages *stages = target;
    struct stage *stage = &stages->at[stages->n];
    (void)number;
    if (!reserve(reader, field, "input_map", STAGES_LINKS_MAX, sizeof *stage->inputs, &stage->inputs) ||
        !reserve(reader, field, "output_map", STAGES_LINKS_MAX, sizeof *stage->outputs, &stage->outputs) ||
        !read_message(reader, place, "EnsembleStep", field, stage))
        return false;
    if (!stage->model || !*stage->model)
        return WRONG("it has no 'model_name'");
    stages->n++;
    return true;
}

static bool take_ensemble(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                          void *target)
{
    struct stages *stages = arena_alloc(reader->arena, sizeof *stages);
    (void)number;
    ((struct manifest *)target)->stages = stages;
    if (!stages)
        return no_memory(reader);
    return reserve(reader, field, "step", STAGES_MAX, sizeof *stages->at, &stages->at) &&
           read_message(reader, place, "ModelEnsembling", field, stages) &&
           (stages->n || WRONG("it must have a 'step'"));
}

/* --- parameters --------------------------------------------------------------------------------------------------- */

static bool take_parameter_value(struct reader *reader, const struct place *place, const struct pbtxt *field,
                                 int64_t number, void *target)
{
    (void)number;
    return read_message(reader, place, "ModelParameter", field, target);
}

/* A key that comes again has its later value. */
static bool take_parameter(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                           void *target)
{
    struct manifest *manifest = target;
    struct manifest_parameter *list = manifest->parameters;
    struct text_entry entry = {.key = "", .value = ""};
    int i = 0;
    (void)number;
    if (!read_message(reader, place, "ParameterEntry", field, &entry))
        return false;
    while (i < manifest->n_parameters && strcmp(list[i].key, entry.key) != 0)
        i++;
    list[i] = (struct manifest_parameter){.key = entry.key, .value = entry.value};
    manifest->n_parameters += i == manifest->n_parameters;
    return true;
}

/* --- warm-up ------------------------------------------------------------------------------------------------------ */

static bool take_warmup_size(struct reader *reader, const struct place *place, const struct pbtxt *field,
                             int64_t number, void *target)
{
    (void)reader, (void)place, (void)field;
    ((struct manifest_warmup *)target)->batch_size = (int)(number > BATCH_SIZE_MAX ? BATCH_SIZE_MAX : number);
    return true;
}

static bool take_warmup_count(struct reader *reader, const struct place *place, const struct pbtxt *field,
                              int64_t number, void *target)
{
    (void)reader, (void)place, (void)field;
    ((struct manifest_warmup *)target)->count = (int)(number > INT32_MAX ? INT32_MAX : number);
    return true;
}

static bool take_warmup_type(struct reader *reader, const struct place *place, const struct pbtxt *field,
                             int64_t number, void *target)
{
    struct manifest_io io = {0};
    take_data_type(reader, place, field, number, &io);
    ((struct manifest_warmup_input *)target)->dtype = io.dtype;
    return true;
}

static bool take_warmup_dim(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                            void *target)
{
    struct manifest_warmup_input *input = target;
    if (number < 1)
        return WRONG("the dims of a warm-up request are at least 1");
    return add_dim(reader, place, field, number, input->dims, &input->rank);
}

static bool take_warmup_random(struct reader *reader, const struct place *place, const struct pbtxt *field,
                               int64_t number, void *target)
{
    (void)reader, (void)place, (void)field;
    if (number)
        ((struct manifest_warmup_input *)target)->data = WARMUP_RANDOM;
    return true;
}

static bool take_warmup_file(struct reader *reader, const struct place *place, const struct pbtxt *field,
                             int64_t number, void *target)
{
    struct manifest_warmup_input *input = target;
    (void)place, (void)number;
    input->data = WARMUP_FILE;
    input->file = copy(reader, field->text);
    return input->file != NULL;
}

static bool take_warmup_value(struct reader *reader, const struct place *place, const struct pbtxt *field,
                              int64_t number, void *target)
{
    (void)number;
    if (count(field, "zero_data") + count(field, "random_data") + count(field, "input_data_file") > 1)
        return WRONG("zero_data, random_data and input_data_file exclude each other");
    return read_message(reader, place, "WarmupInput", field, target);
}

static bool take_warmup_input(struct reader *reader, const struct place *place, const struct pbtxt *field,
                              int64_t number, void *target)
{
    struct manifest_warmup *warmup = target;
    struct manifest_warmup_input *input = &warmup->inputs[warmup->n_inputs];
    (void)number;
    *input = (struct manifest_warmup_input){.name = ""};
    if (!read_message(reader, place, "WarmupEntry", field, input))
        return false;
    warmup->n_inputs++;
    return true;
}

static bool take_warmup(struct reader *reader, const struct place *place, const struct pbtxt *field, int64_t number,
                        void *target)
{
    struct manifest *manifest = target;
    struct manifest_warmup *warmup = &manifest->warmup_requests[manifest->n_warmup_requests];
    (void)number;
    *warmup = (struct manifest_warmup){.name = "", .count = 1};
    if (!reserve(reader, field, "inputs", ENTRIES_MAX, sizeof *warmup->inputs, &warmup->inputs) ||
        !read_message(reader, place, "ModelWarmup", field, warmup))
        return false;
    warmup->count = warmup->count ? warmup->count : 1;
    warm_up(manifest, warmup->batch_size);
    manifest->n_warmup_requests++;
    return true;
}

/* --- the file ----------------------------------------------------------------------------------------------------- */

static bool reserve_lists(const struct reader *reader, const struct pbtxt *root)
{
    struct manifest *manifest = reader->manifest;
    return reserve(reader, root, "input", IOS_MAX, sizeof *manifest->declared_inputs, &manifest->declared_inputs) &&
           reserve(reader, root, "output", IOS_MAX, sizeof *manifest->declared_outputs, &manifest->declared_outputs) &&
           reserve(reader, root, "parameters", ENTRIES_MAX, sizeof *manifest->parameters, &manifest->parameters) &&
           reserve(reader, root, "model_warmup", WARMUPS_MAX, sizeof *manifest->warmup_requests,
                   &manifest->warmup_requests);
}

/* The dims of whole tensors; does any have some? */
static bool add_batch(struct reader *reader, struct manifest_io *ios, int n, bool *any)
{
    for (int i = 0; i < n; i++) {
        struct manifest_io *io = &ios[i];
        *any |= io->rank >= 0;
        if (io->rank < 0 || reader->manifest->max_batch_size <= 0)
            continue;
        if (io->rank == PERCEPT_RANK_MAX)
            return err_set(
                reader->err, ERR_CONFIG,
                "%s: '%.80s' has %d dims and a batch in front, because max_batch_size is %d; at most %d axes "
                "are served",
                reader->path, io->name, io->rank, reader->manifest->max_batch_size, PERCEPT_RANK_MAX);
        memmove(io->dims + 1, io->dims, (size_t)io->rank * sizeof *io->dims);
        io->dims[0] = -1;
        io->rank++;
    }
    return true;
}

/* An ensemble has no file, and its steps what is declared. */
static bool ensemble_fits(const struct reader *reader)
{
    const struct manifest *manifest = reader->manifest;
    if (reader->is_ensemble && !manifest->stages)
        return err_set(reader->err, ERR_CONFIG, "%s: platform is 'ensemble': ensemble_scheduling is missing",
                       reader->path);
    if (manifest->stages && (!manifest->n_declared_inputs || !manifest->n_declared_outputs))
        return err_set(reader->err, ERR_CONFIG, "%s: an ensemble declares its 'input' and 'output'", reader->path);
    if (manifest->stages && manifest->sequence.given)
        return err_set(reader->err, ERR_UNSUPPORTED, "%s: ensemble_scheduling and sequence_batching exclude each other",
                       reader->path);
    return true;
}

static bool finish(struct reader *reader)
{
    struct manifest *manifest = reader->manifest;
    bool any = false;
    if (!ensemble_fits(reader))
        return false;
    if (!add_batch(reader, manifest->declared_inputs, manifest->n_declared_inputs, &any) ||
        !add_batch(reader, manifest->declared_outputs, manifest->n_declared_outputs, &any))
        return false;
    manifest->declared_batch = manifest->max_batch_size > 0;
    if (manifest->max_batch_size < 0 && any)
        manifest->max_batch_size = 0;
    if (manifest->version_policy.kind == VERSIONS_UNSAID)
        manifest->version_policy = (struct manifest_version_policy){.kind = VERSIONS_LATEST, .n_latest = 1};
    if (*reader->ignored)
        manifest->ignored = copy(reader, reader->ignored);
    return !*reader->ignored || manifest->ignored;
}

/* In the folder "initial_state" beside the file. */
static bool read_initial(const struct manifest *manifest, const struct file_place *place, struct arena *arena,
                         struct percept_err *err)
{
    for (int i = 0; i < manifest->sequence.n_states; i++) {
        struct manifest_state *state = &manifest->sequence.states[i];
        if (!state->initial_file || !*state->initial_file)
            continue;
        struct bytes *initial = arena_alloc(arena, sizeof *initial);
        char *name = file_join(arena, "initial_state", state->initial_file);
        if (!initial || !name)
            return err_memory(err, "a state", sizeof *initial);
        if (!file_read_beneath(place, name, 0, SIZE_MAX, arena, initial, NULL, err))
            return err_prefix(err, "%s: the initial state of '%.80s': ", manifest->config_path, state->input);
        state->initial = initial;
    }
    return true;
}

static bool read_beside(struct manifest *manifest, const struct file_stamp *stamp, struct arena *arena,
                        struct percept_err *err)
{
    struct file_place place;
    if (!file_place_open(&place, manifest->config_path, stamp, err))
        return false;
    bool ok = true;
    for (int i = 0; i < manifest->n_declared_outputs && ok; i++) {
        struct manifest_io *io = &manifest->declared_outputs[i];
        if (!io->label_filename)
            continue;
        const int n = lines_read(&place, io->label_filename, arena, &io->labels, err);
        ok = n >= 0 || err_prefix(err, "%s: output '%.80s', label_filename: ", manifest->config_path, io->name);
        io->n_labels = n;
    }
    ok = ok && read_initial(manifest, &place, arena, err);
    file_place_close(&place);
    return ok;
}

static bool read_tree(struct reader *reader, const struct pbtxt *root)
{
    return reserve_lists(reader, root) && read_message(reader, NULL, "ModelConfig", root, reader->manifest) &&
           finish(reader);
}

struct manifest *triton_config_parse(struct bytes text, const char *path, struct arena *arena, struct percept_err *err)
{
    struct manifest *manifest = manifest_new(arena, err);
    if (!manifest)
        return NULL;
    struct reader reader = {.arena = arena, .manifest = manifest, .err = err};
    manifest->config_path = reader.path = copy(&reader, path);
    if (!reader.path)
        return NULL;
    const struct pbtxt *root = pbtxt_read(text, &reader.scratch, err);
    if (!root)
        err_prefix(err, "%s: ", path);
    const bool ok = root && read_tree(&reader, root);
    arena_free(&reader.scratch);
    return ok ? manifest : NULL;
}

const struct manifest *triton_config_read(const char *path, const char *folder, struct arena *arena,
                                          struct percept_err *err)
{
    struct bytes text;
    struct file_stamp stamp;
    if (!file_read(path, FILE_MAX_BYTES, &text, &stamp, err))
        return NULL;
    struct manifest *manifest = triton_config_parse(text, path, arena, err);
    arena_buffer_free((void *)text.at);
    if (!manifest || !read_beside(manifest, &stamp, arena, err) ||
        (folder && !manifest_read_over(manifest, folder, arena, err)))
        return NULL;
    return manifest;
}
