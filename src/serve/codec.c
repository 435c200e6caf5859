/*
 * codec.c - which codec reads a body, and what all of them ask of a tensor before it becomes an
 * input.
 *
 * Clients of V2 send their JSON as any type or none (curl's default is a form's), so only types
 * that claim to be a picture, sound, film or text are taken at their word.
 */
#include "serve/codec.h"

#include "base/err.h"
#include "serve/states.h"

#include <stdio.h>
#include <strings.h>

static const struct codec rows[] = {
#define C(type, what, always, function) {.media_type = type, .kind = what, .worker_always = always, .decode = function},
#define FORM(type, function) {.media_type = type, .worker_always = true, .form = true, .decode = function},
#define V1(type, function) {.media_type = type, .by_route = true, .decode = function},
#include "serve/codecs.def"
#undef C
#undef FORM
#undef V1
};

#define N_ROWS ((int)(sizeof rows / sizeof *rows))

static const struct {
    enum percept_dtype dtype;
    const char *name;
} datatypes[] = {
    {PERCEPT_BOOL, "BOOL"},     {PERCEPT_UINT8, "UINT8"},   {PERCEPT_UINT16, "UINT16"}, {PERCEPT_UINT32, "UINT32"},
    {PERCEPT_UINT64, "UINT64"}, {PERCEPT_INT8, "INT8"},     {PERCEPT_INT16, "INT16"},   {PERCEPT_INT32, "INT32"},
    {PERCEPT_INT64, "INT64"},   {PERCEPT_FLOAT16, "FP16"},  {PERCEPT_FLOAT, "FP32"},    {PERCEPT_DOUBLE, "FP64"},
    {PERCEPT_STRING, "BYTES"},  {PERCEPT_BFLOAT16, "BF16"},
};

const char *codec_datatype(enum percept_dtype dtype)
{
    for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++)
        if (datatypes[i].dtype == dtype)
            return datatypes[i].name;
    return NULL;
}

enum percept_dtype codec_dtype(struct bytes datatype)
{
    for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++)
        if (bytes_is(datatype, datatypes[i].name))
            return datatypes[i].dtype;
    return PERCEPT_UNDEFINED;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* "image/PNG ; q=1" -> "image/PNG" */
static struct bytes bare_type(struct bytes type)
{
    const uint8_t *semicolon = bytes_size(type) ? memchr(type.at, ';', bytes_size(type)) : NULL;
    if (semicolon)
        type.end = semicolon;
    while (type.at < type.end && is_space(*type.at))
        type.at++;
    while (type.at < type.end && is_space(type.end[-1]))
        type.end--;
    return type;
}

static bool same_type(struct bytes type, const char *row)
{
    return bytes_size(type) == strlen(row) && strncasecmp((const char *)type.at, row, bytes_size(type)) == 0;
}

static bool is_one_of(struct bytes type, const char *names)
{
    for (size_t n; *names; names += n + (names[n] == ' ')) {
        n = strcspn(names, " ");
        if (n == bytes_size(type) && strncasecmp((const char *)type.at, names, n) == 0)
            return true;
    }
    return false;
}

/* Other names that clients' libraries and systems have for a row's type. */
static struct bytes usual_name(struct bytes type)
{
    static const struct {
        const char *others, *usual;
    } names[] = {
#define F(name, magic, then, type, others, decoder) {others, type},
#include "serve/formats.def"
#undef F
#define S(name, test, type, others, decoder) {others, type},
#include "serve/sounds.def"
#undef S
        {"text/json text/x-json", "application/json"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_one_of(type, names[i].others))
            return bytes_of_text(names[i].usual);
    return type;
}

static bool looks_like_media(struct bytes type)
{
    static const char *const families[] = {"image/", "audio/", "video/", "text/"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        size_t n = strlen(families[i]);
        if (bytes_size(type) >= n && strncasecmp((const char *)type.at, families[i], n) == 0)
            return true;
    }
    return false;
}

enum manifest_kind codec_kind(const struct served *served)
{
    int n, n_sent = 0, only = 0;
    const struct percept_io *inputs = served_own_inputs(served, &n);
    for (int i = 0; i < n; i++)
        if (!served_is_constant(served, i) && !states_keep_input(served->states, i)) {
            n_sent++;
            only = i;
        }
    if (n_sent != 1)
        return MANIFEST_TENSOR;
    const struct manifest_input *input = manifest_input(served->manifest, inputs[only].name);
    return input ? input->kind : MANIFEST_TENSOR;
}

/* Is there something that a form could feed? */
static bool takes_media(const struct served *served)
{
    const struct manifest *manifest = served->manifest;
    for (int i = 0; i < manifest->n_inputs; i++)
        if (manifest->inputs[i].kind == MANIFEST_IMAGE || manifest->inputs[i].kind == MANIFEST_TEXT)
            return true;
    return false;
}

/* May its media type stand for this model's input? */
static bool codec_is_for(const struct served *served, const struct codec *codec)
{
    return !codec->by_route && (!codec->form || takes_media(served));
}

static const struct codec *refuse(const struct served *served, struct bytes type, enum manifest_kind kind,
                                  struct percept_err *err)
{
    char list[256] = "";
    for (int i = 0; i < N_ROWS; i++)
        if (codec_is_for(served, &rows[i]) && (rows[i].kind == MANIFEST_TENSOR || rows[i].kind == kind)) {
            size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", rows[i].media_type);
        }
    return err_null(err, ERR_MEDIA_TYPE, "model '%s' does not take '%.*s'; it takes %s%s", served->name,
                    (int)(bytes_size(type) > 60 ? 60 : bytes_size(type)), (const char *)type.at, list,
                    kind == MANIFEST_AUDIO ? " (ffmpeg -i IN OUT.wav makes a WAV of anything)"
                    : kind == MANIFEST_IMAGE
                        ? ", and videos as video/x-motion-jpeg or multipart/x-mixed-replace (ffmpeg -i "
                          "IN -f mjpeg OUT makes one of anything)"
                        : "");
}

/* "text/plain; charset=latin1" is not what the text codec reads. */
static bool is_utf8(struct bytes parameters)
{
    static const char *const accepted[] = {"utf-8", "\"utf-8\"", "utf8", "us-ascii"};
    const char *name = "charset=";
    for (; bytes_size(parameters) > strlen(name); parameters.at++) {
        if (strncasecmp((const char *)parameters.at, name, strlen(name)) != 0)
            continue;
        struct bytes value = bare_type((struct bytes){parameters.at + strlen(name), parameters.end});
        for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
            if (same_type(value, accepted[i]))
                return true;
        return false;
    }
    return true;
}

const struct codec *codec_v1(void)
{
    int i = 0;
    while (!rows[i].by_route)
        i++;
    return &rows[i];
}

const struct codec *codec_of_body(const struct served *served, struct bytes body)
{
    const enum manifest_kind kind = codec_kind(served);
    const char *type = kind == MANIFEST_IMAGE   ? codec_image_type(body)
                       : kind == MANIFEST_AUDIO ? codec_audio_type(body)
                                                : NULL;
    if (!type && kind != MANIFEST_TEXT && bytes_begin_text(body, "{"))
        return &rows[0];
    int i = 0;
    while (rows[i].kind != kind || (type && strcmp(rows[i].media_type, type) != 0))
        i++;
    return &rows[i];
}

const struct codec *codec_find(const struct served *served, struct bytes content_type, struct percept_err *err)
{
    struct bytes bare = bare_type(content_type), type = usual_name(bare);
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].form && same_type(type, rows[i].media_type) && takes_media(served))
            return &rows[i];
    if (!looks_like_media(type))
        return &rows[0];
    enum manifest_kind kind = codec_kind(served);
    for (int i = 0; i < N_ROWS; i++)
        if (!rows[i].by_route && rows[i].kind == kind && same_type(type, rows[i].media_type)) {
            if (kind == MANIFEST_TEXT && !is_utf8((struct bytes){bare.end, content_type.end}))
                return err_null(err, ERR_MEDIA_TYPE, "texts are read as UTF-8; send them as such");
            return &rows[i];
        }
    return refuse(served, bare, kind, err);
}

bool codec_begin(struct job *job, bool binary, struct percept_err *err)
{
    int n_inputs, n_outputs;
    served_own_inputs(job->served, &n_inputs);
    served_own_outputs(job->served, &n_outputs);
    job->inputs = arena_array(job->arena, (size_t)n_inputs + 1, sizeof *job->inputs);
    job->outputs = arena_array(job->arena, (size_t)n_outputs + 1, sizeof *job->outputs);
    if (!job->inputs || !job->outputs)
        return err_memory(err, "a request's list of tensors", (size_t)(n_inputs + n_outputs) * sizeof *job->inputs);
    job->n_outputs = 0;
    for (int i = 0; i < n_outputs; i++)
        if (!job->sequence.asked || !states_keep_output(job->served->states, i))
            job->outputs[job->n_outputs++] = (struct job_output){.index = i, .binary = binary};
    job->n_items = 0;
    return true;
}

bool codec_count(int rank, const int64_t *dims, int64_t *n)
{
    bool zero = false, overflow = false;
    *n = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return false;
        zero |= dims[i] == 0;
        overflow |= __builtin_mul_overflow(*n, dims[i] ? dims[i] : 1, n);
    }
    if (zero)
        *n = 0;
    return zero || !overflow;
}

static void print_dims(char *to, size_t n_bytes, int rank, const int64_t *dims)
{
    size_t used = (size_t)snprintf(to, n_bytes, "[");
    for (int i = 0; i < rank && used < n_bytes; i++)
        used += (size_t)snprintf(to + used, n_bytes - used, "%s%lld", i ? "," : "",
                                 (long long)(dims[i] < 0 ? -1 : dims[i]));
    if (used < n_bytes)
        snprintf(to + used, n_bytes - used, "]");
}

static bool shape_fits(const struct percept_io *io, const struct percept_tensor *tensor)
{
    if (io->rank <= 0) /* a scalar that is declared may be a tensor: the session knows what works */
        return true;
    if (io->rank != tensor->rank)
        return false;
    for (int i = 0; i < io->rank; i++)
        if (io->dims[i] >= 0 && io->dims[i] != tensor->dims[i])
            return false;
    return true;
}

static bool refuse_shape(const struct job *job, const struct percept_io *io, const struct percept_tensor *tensor,
                         struct percept_err *err)
{
    char want[128], got[192];
    print_dims(want, sizeof want, io->rank, io->dims);
    print_dims(got, sizeof got, tensor->rank, tensor->dims);
    char note[96] = "";
    if (served_has_batch(job->served) && io->batch_axis == 0)
        snprintf(note, sizeof note,
                 " NOTE: Setting a non-zero max_batch_size means that the first axis of every input is the batch");
    else if (job->served->batching)
        snprintf(note, sizeof note, " NOTE: axis %d of this input is the batch", io->batch_axis);
    return err_set(err, ERR_INVALID, "unexpected shape for input '%s' for model '%s'. Expected %s, got %s.%s", io->name,
                   job->served->name, want, got, note);
}

static bool batch_fits(struct job *job, const struct percept_io *io, int64_t n, struct percept_err *err)
{
    const struct served *served = job->served;
    if (n < 1)
        return err_set(err, ERR_INVALID, "inference request batch-size must be >= 1 for '%s', input '%s' has 0",
                       served->name, io->name);
    if (served->max_batch_size > 0 && n > served->max_batch_size)
        return err_set(err, ERR_INVALID, "inference request batch-size must be <= %d for '%s'", served->max_batch_size,
                       served->name);
    if (job->n_items && job->n_items != n)
        return err_set(err, ERR_INVALID, "input '%s' batch size does not match other inputs for '%s'", io->name,
                       served->name);
    return true;
}

bool codec_accept(struct job *job, int input, const struct percept_tensor *tensor, struct percept_err *err)
{
    int n_inputs;
    const struct percept_io *io = &served_inputs(job->served, &n_inputs)[input];
    if (tensor->dtype != io->dtype) {
        const char *wanted = codec_datatype(io->dtype);
        return err_set(err, ERR_INVALID, "inference input '%s' data-type is '%s', but model '%s' expects '%s'",
                       io->name, codec_datatype(tensor->dtype), job->served->name,
                       wanted ? wanted : percept_dtype_name(io->dtype));
    }
    if (!shape_fits(io, tensor))
        return refuse_shape(job, io, tensor, err);
    int64_t n_items = 1;
    if (served_has_batch(job->served) && io->batch_axis < tensor->rank) {
        n_items = tensor->dims[io->batch_axis];
        if (!batch_fits(job, io, n_items, err))
            return false;
    }
    job->n_items = n_items;
    job->inputs[input] = *tensor;
    return true;
}

bool codec_is_body(const struct job *job, int input)
{
    return (!job->sources || !job->sources[input]) && !states_keep_input(job->served->states, input);
}

bool codec_may_bring(const struct job *job, int input)
{
    const struct states *states = job->served->states;
    return codec_is_body(job, input) || (states && states->roles[input] == ROLE_STATE);
}

bool codec_is_needed(const struct job *job, int input)
{
    return codec_is_body(job, input) && !served_is_constant(job->served, input);
}

int codec_body_input(const struct job *job)
{
    int n, found = -1;
    served_own_inputs(job->served, &n);
    for (int i = 0; i < n; i++) {
        if (!codec_is_needed(job, i))
            continue;
        if (found >= 0)
            return -1;
        found = i;
    }
    return found;
}

bool codec_take_sources(struct job *job, struct percept_err *err)
{
    int n;
    if (!job->sources)
        return true;
    served_own_inputs(job->served, &n);
    for (int i = 0; i < n; i++)
        if (job->sources[i] && !codec_accept(job, i, job->sources[i], err))
            return false;
    return true;
}
