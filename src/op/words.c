/*
 * words.c - StringNormalizer: drops stop words, changes the case of the rest.
 *
 * Letters are changed by Unicode's simple mappings (base/letter.h) whatever `locale` says, for they
 * are the same in all locales but C, which knows ASCII alone, and the Turkic ones, which are
 * refused. Words are compared after both were made small, or capital where that is what comes out,
 * unless the case matters.
 *
 * How many words are left only a run tells (OP_DATA_DIMS); when none is, it gives one that is
 * empty, as ONNX says. Changed words lie in the run's memory, twice as many bytes as came in: a
 * counterpart may be one byte longer.
 *
 * Thread: loader, then the session's holder.
 */
#include <string.h>

#include "base/letter.h"
#include "base/utf8.h"
#include "graph/names.h"
#include "op/attr.h"
#include "op/batch_axis.h"

#define LOOK_BYTES 65536 /* of text between two looks at the deadline */

enum letters { LETTERS_KEPT, LETTERS_LOWER, LETTERS_UPPER };

struct words {
    int letters;           /* of what comes out */
    enum letters compared; /* of what is compared */
    bool ascii;            /* only these letters have a case */
    struct bytes *stops;   /* in the case in which they are compared */
    int n_stops;
    struct names names;
};

/* The text in another case at `to`, which has room for twice its bytes; its end, or NULL if it is
 * not UTF-8. */
static char *change_case(const struct words *words, enum letters letters, struct bytes text, char *to)
{
    while (text.at < text.end) {
        uint32_t code;
        text.at = utf8_read(text.at, text.end, &code);
        if (!text.at)
            return NULL;
        if (!words->ascii || code < 0x80)
            code = letters == LETTERS_LOWER ? letter_lower(code) : letters == LETTERS_UPPER ? letter_upper(code) : code;
        to += utf8_write(to, code);
    }
    return to;
}

static bool read_locale(const struct node_ctx *ctx, struct words *words, struct percept_err *err)
{
    struct percept_string locale;
    if (!attr_text(ctx, "locale", "en_US.UTF-8", &locale, err))
        return false;
    const struct bytes name = bytes_of(locale.at, locale.n_bytes);
    words->ascii = bytes_is(name, "C") || bytes_is(name, "POSIX");
    if (!bytes_begin_text(name, "tr_") && !bytes_begin_text(name, "az_"))
        return true;
    return err_set(err, ERR_UNSUPPORTED,
                   OP_AT "attribute 'locale' is '" BYTES_FMT "', whose dotless i is a letter of "
                         "its own; en_US.UTF-8 would work",
                   OP_NODE(ctx->node), BYTES_ARG(name));
}

static bool read_stops(struct node_ctx *ctx, struct words *words, struct percept_err *err)
{
    const struct percept_string *texts;
    if (!attr_texts(ctx, "stopwords", &texts, &words->n_stops, err))
        return false;
    words->stops = arena_array(ctx->arena, (size_t)words->n_stops + 1, sizeof *words->stops);
    if (!words->stops)
        return err_memory(err, "stop words", (size_t)words->n_stops * sizeof *words->stops);
    for (int i = 0; i < words->n_stops; i++) {
        char *at = arena_array(ctx->arena, texts[i].n_bytes + 1, 2);
        if (!at)
            return err_memory(err, "a stop word", 2 * texts[i].n_bytes);
        const char *end = change_case(words, words->compared, bytes_of(texts[i].at, texts[i].n_bytes), at);
        if (!end)
            return err_set(err, ERR_MODEL, OP_AT "stop word %d is not UTF-8", OP_NODE(ctx->node), i);
        words->stops[i] = bytes_of(at, (size_t)(end - at));
        if (names_claim(&words->names, ctx->arena, words->stops, sizeof *words->stops, words->stops[i], i) < 0)
            return err_memory(err, "stop words", (size_t)words->n_stops * sizeof *words->stops);
    }
    return true;
}

static bool words_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const actions[] = {"NONE", "LOWER", "UPPER", NULL};
    bool sensitive;
    struct words *words = op_priv(ctx, sizeof *words, err);
    if (!words || !op_arity(ctx, 1, 1, 1, err) ||
        !attr_choice(ctx, "case_change_action", LETTERS_KEPT, actions, &words->letters, err) ||
        !attr_bool(ctx, "is_case_sensitive", false, &sensitive, err) || !read_locale(ctx, words, err))
        return false;
    words->compared = sensitive ? LETTERS_KEPT : words->letters == LETTERS_UPPER ? LETTERS_UPPER : LETTERS_LOWER;
    return read_stops(ctx, words, err);
}

static bool words_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (!op_want_dtype(step, 0, PERCEPT_STRING, err))
        return false;
    if (x->rank < 1 || x->rank > 2 || x->dims[x->rank - 1] < 1 || (x->rank == 2 && x->dims[0] != 1)) {
        char text[128];
        return err_set(err, ERR_INVALID, OP_AT "words of shape %s; [C] and [1,C] of at least one would work",
                       OP_NODE(step->node), tensor_shape_text(x->rank, x->dims, text, sizeof text));
    }
    op_set_out(step, 0, PERCEPT_STRING, x->rank, x->dims);
    return true;
}

/* A run that goes over the words: where the next changed one is written, and how much was read
 * since a look. */
struct pass {
    char *room;
    size_t read;
};

/* One word; *kept is false for a stop word. */
static bool one_word(const struct step *step, struct pass *pass, int64_t i, struct percept_string *y, bool *kept,
                     struct percept_err *err)
{
    const struct words *words = step->priv;
    const struct percept_string *x = (const struct percept_string *)step->in[0]->data + i;
    const struct bytes text = bytes_of(x->at, x->n_bytes);
    const enum letters letters = (enum letters)words->letters;
    struct bytes compared = text, changed = text;
    char *const at = pass->room;
    if (letters != LETTERS_KEPT || (words->n_stops && words->compared != LETTERS_KEPT)) {
        char *end = change_case(words, letters ? letters : words->compared, text, at);
        if (!end)
            return err_set(err, ERR_DATA, OP_AT "element %lld is not UTF-8", OP_NODE(step->node), (long long)i);
        changed = letters ? bytes_of(at, (size_t)(end - at)) : text;
        compared = words->compared ? bytes_of(at, (size_t)(end - at)) : text;
        pass->room = end;
    }
    pass->read += x->n_bytes;
    *kept = !words->n_stops || names_find(&words->names, words->stops, sizeof *words->stops, compared) < 0;
    *y = (struct percept_string){.at = (const char *)changed.at, .n_bytes = bytes_size(changed)};
    if (!*kept || !letters)
        pass->room = at; /* nobody looks at it any more */
    return true;
}

static bool words_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct tensor *out = step->out[0];
    struct percept_string *y = out->data;
    const int64_t n = tensor_elements(x);
    size_t n_bytes = 1;
    for (int64_t i = 0; i < n; i++)
        n_bytes += 2 * ((const struct percept_string *)x->data)[i].n_bytes;
    struct pass pass = {.room = env->memory ? env->memory(env, n_bytes) : arena_alloc(step->arena, n_bytes)};
    if (!pass.room)
        return err_memory(err, "words", n_bytes);
    int64_t n_kept = 0;
    for (int64_t i = 0; i < n; i++) {
        bool kept = false;
        if (!one_word(step, &pass, i, &y[n_kept], &kept, err))
            return false;
        n_kept += kept;
        if (pass.read < LOOK_BYTES)
            continue;
        pass.read = 0;
        if (env->go_on && !env->go_on(env, err))
            return false;
    }
    if (n_kept == 0)
        y[n_kept++] = (struct percept_string){.at = "", .n_bytes = 0};
    out->dims[out->rank - 1] = n_kept;
    return true;
}

static void words_batch(struct batch_view *view)
{
    const struct words *words = view->many->priv;
    if (words->n_stops)
        batch_axis_mixes(view, "drops words of the batch");
    else
        batch_axis_elements(view);
}

const struct op_rule op_string_normalizer = {
    .check = words_check, .shape = words_shape, .run = words_run, .batch = words_batch, .flags = OP_DATA_DIMS};
