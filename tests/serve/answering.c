/* answering.c - see answering.h. */
#include "answering.h"

#include "base/err.h"
#include "fake_model.h"
#include "folder.h"
#include "serve/answer.h"
#include "serve/encoder.h"

#include <check.h>
#include <stdio.h>

static char text[1 << 20];
static size_t text_bytes;
static struct arena arena;

void answering_begin(void)
{
    folder_begin("answering");
}

void answering_end(void)
{
    folder_end();
    arena_free(&arena);
}

static const char *told(struct job *job, const struct percept_tensor *results, struct fake_model *fake)
{
    static const char head[] = ",\"predictions\":";
    struct answer answer;
    if (!answer_make(job, results, &answer, &fake->err))
        return strcpy(text, fake->err.text);
    struct writer w = {.arena = job->arena, .watch = &job->watch};
    answer_write(&w, &answer);
    ck_assert(!w.failed && w.used < sizeof text);
    *text = '\0';
    if (w.used) {
        ck_assert(w.used >= sizeof head && memcmp(w.at, head, sizeof head - 1) == 0);
        snprintf(text, sizeof text, "%.*s", (int)(w.used - sizeof head + 1), w.at + sizeof head - 1);
    }
    return text;
}

static int64_t no_time(void)
{
    return 0;
}

static const char *encoded(struct job *job, const struct percept_tensor *results, const char *accept,
                           const char **media_type)
{
    if (!encoder_accept(job->served, bytes_of_text(accept), &job->err))
        return strcpy(text, job->err.text);
    job->encoder = encoder_find(job->served, bytes_of_text(accept));
    encoder_write(job, results, no_time);
    *media_type = job->err.code ? "" : job->encoder->media_type;
    if (job->err.code)
        return strcpy(text, job->err.text);
    text_bytes = bytes_size(job->reply);
    ck_assert_uint_lt(text_bytes, sizeof text);
    memcpy(text, job->reply.at, text_bytes);
    text[text_bytes] = '\0';
    return text;
}

static const char *ask(const struct answering *asked, const char *accept, const char **media_type)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 4, (int64_t[]){-1, 3, asked->height, asked->width});
    struct percept_tensor input = {.dtype = PERCEPT_FLOAT, .rank = 4, .dims = {1, 3, asked->height, asked->width}};
    struct percept_tensor results[16] = {0};
    struct job_output replied[16] = {0};
    ck_assert_int_le(asked->n_outputs, 16);
    for (int i = 0; i < asked->n_outputs; i++) {
        const struct answering_output *output = &asked->outputs[i];
        results[i] = (struct percept_tensor){
            .dtype = output->dtype, .rank = output->rank, .data = (void *)(uintptr_t)output->data};
        for (int d = 0; d < output->rank; d++)
            results[i].dims[d] = output->dims[d];
        fake->outputs[i] = (struct percept_io){.name = output->name, .dtype = output->dtype, .rank = -1};
        replied[i].index = i;
    }
    fake->model.n_outputs = asked->n_outputs;
    fake->served.manifest = fake_model_manifest(asked->manifest, &arena);
    struct job *job = fake_model_post_bytes(fake, asked->body.at, bytes_size(asked->body));
    job->inputs = &input;
    job->outputs = replied;
    job->n_outputs = asked->n_replied ? asked->n_replied : asked->n_outputs;
    job->n_items = asked->n_items ? asked->n_items : 1;
    job->view = asked->view;
    job->posted = job->body;
    job->predictions = true;
    job->masks = asked->masks;
    job->marks = asked->marks;
    int raised = asked->cancelled;
    job->watch.cancel = &raised;
    const char *answer = accept ? encoded(job, results, accept, media_type) : told(job, results, fake);
    fake_model_free(fake);
    return answer;
}

size_t answering_bytes(void)
{
    return text_bytes;
}

const char *answering(const struct answering *asked)
{
    return ask(asked, NULL, NULL);
}

const char *answering_as(const struct answering *asked, const char *accept, const char **media_type)
{
    *media_type = "";
    return ask(asked, accept, media_type);
}
