/*
 * bulk.c - `perceptd run MODEL FILE|FOLDER...`: the daemon without its doors. A loop, a catalog with one model, and a
 * job for each file, so that what is read, batched, computed and written is what a client who posts the file would get.
 *
 *     options -> loop, catalog -> the model is READY -> form_choose
 *     -> slots, in the order of the files: a job each -> its worker reads the file, its worker writes the result
 *     -> the oldest slot is over: print or count it, the slot takes the next file -> ... -> drain -> exit status
 *
 * Files are read by a codec of our own, which then is the one of the file's medium, and results are written by an
 * encoder of our own behind the one of their form: so both happen on the workers, and the loop touches no disk but to
 * see whether a result is there already. The window of slots bounds what is in memory, and keeps what is printed in
 * the order of the files.
 *
 * Thread: the main one, which becomes the loop's; `slot_decode` and `slot_write` run on a worker that has the job. A
 * slot owns its file's bytes and its arena.
 */
#include "command/bulk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "command/command.h"
#include "command/cores.h"
#include "command/files.h"
#include "command/form.h"
#include "command/progress.h"
#include "serve/catalog.h"
#include "serve/codec.h"
#include "serve/generate.h"
#include "serve/lifecycle.h"
#include "serve/scan.h"

#define SLOTS_PER_WORKER 8
#define SLOTS_MAX 128

struct bulk;

/* One file on its way. */
struct slot {
    struct job job;
    struct arena arena;
    struct bulk *bulk;
    const struct files_item *item;
    const struct encoder *wanted;
    const char *result; /* its path; NULL: it is printed */
    int number;         /* of the file */
    struct bytes body;
    bool left; /* its result was there */
    bool over;
};

struct bulk {
    const struct options *options;
    struct settings settings;
    struct loop *loop;
    struct catalog *catalog;
    struct scan scan;
    struct root root;
    struct served *served;
    struct files files;
    struct form form;
    struct slot *slots; /* [n_slots]; file i is in slot i modulo that */
    int n_slots;
    int n_begun, n_ended; /* files */
    int n_left, n_failed;
    bool printed; /* something */
    bool leaving;
    struct progress progress;
    struct percept_err err; /* of the whole */
};

/* --- on a worker -------------------------------------------------------------------------------------------------- */

static bool is_json(const char *path)
{
    const size_t n = strlen(path);
    return n >= 5 && strcasecmp(path + n - 5, ".json") == 0;
}

/* People have no use for what predictions are made of. */
static bool hides_outputs(const struct slot *slot)
{
    const struct form *form = &slot->bulk->form;
    const enum manifest_task task = slot->job.served->manifest->task;
    return form->print == FORM_LINES && !form->output && slot->job.predictions && task != TASK_NONE &&
           task != TASK_AUDIO;
}

/* Reads the file; from then on the job is as one whose client had said its type. */
static bool slot_decode(struct job *job, struct percept_err *err)
{
    struct slot *slot = job->user;
    const char *path = slot->item->path;
    if (!file_read(path, job->most_body_bytes, &slot->body, NULL, err))
        return false;
    job->body = slot->body;
    if (job->begin)
        return is_json(path) ? generate_codec.decode(job, err) : generate_read(job, job->body, err);
    job->codec = is_json(path) ? codec_find(job->served, bytes_of_text("application/json"), err)
                               : codec_of_body(job->served, slot->body);
    job->content_type = bytes_of_text(job->codec->media_type);
    if (!job->codec->decode(job, err))
        return false;
    job->outputs_hidden |= hides_outputs(slot);
    return true;
}

static bool slot_write(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    struct slot *slot = job->user;
    const struct encoder *wanted = slot->wanted;
    if (wanted->fits && !wanted->fits(job))
        return err_set(err, ERR_INVALID, "no %s can be made of what model '%s' gives for this file", wanted->media_type,
                       job->served->name);
    return wanted->write(job, results, err) &&
           (!slot->result || files_write(slot->result, slot->number, job->reply, err));
}

static bool slot_is_long(const struct job *job, const struct percept_tensor *results)
{
    const struct slot *slot = job->user;
    return slot->result || (slot->wanted->is_long && slot->wanted->is_long(job, results));
}

static const struct codec slot_codec = {.media_type = "a file", .worker_always = true, .decode = slot_decode};
static const struct encoder slot_encoder = {
    .name = "file", .media_type = "a file", .is_long = slot_is_long, .write = slot_write};

/* --- a file's way ------------------------------------------------------------------------------------------------- */

static void slot_done(struct job *job)
{
    struct slot *slot = job->user;
    generate_end(job);
    slot->over = true;
    loop_wake(slot->bulk->loop);
}

/* Where its result goes; true if there is something to be done. */
static bool slot_aim(struct slot *slot, struct percept_err *err)
{
    const struct form *form = &slot->bulk->form;
    const struct files_item *item = slot->item;
    slot->wanted = form_of(form, slot->bulk->served, item->name);
    if (!form->output)
        return true;
    slot->result = form_path(form, slot->wanted, item->name, &slot->arena);
    if (!slot->result)
        return err_memory(err, "a path", strlen(item->name));
    if (item->clashes)
        return err_set(err, ERR_INVALID, "its result would have the name of another file's, '%s'", slot->result);
    if (files_are_one(item->path, slot->result))
        return err_set(err, ERR_INVALID, "its result would be written over it");
    slot->left = form->folder && files_is_done(item->path, slot->result);
    return !slot->left;
}

static void slot_begin(struct slot *slot, int number)
{
    struct bulk *bulk = slot->bulk;
    static const uint8_t nothing[1];
    *slot = (struct slot){.bulk = bulk, .item = &bulk->files.at[number], .number = number};
    slot->job = (struct job){.arena = &slot->arena,
                             .served = bulk->served,
                             .codec = &slot_codec,
                             .encoder = &slot_encoder,
                             .body = bytes_of(nothing, 0),
                             .most_body_bytes = bulk->settings.max_body_bytes,
                             .json_bytes = -1,
                             .arrived_ns = loop_now_ns(),
                             .begin = bulk->served->manifest->generate.given ? generate_begin : NULL,
                             .done = slot_done,
                             .user = slot};
    if (slot_aim(slot, &slot->job.err))
        lifecycle_start(&slot->job);
    else
        slot->over = true;
}

static void complain(struct bulk *bulk, const char *path, const struct percept_err *err)
{
    struct arena arena = {0};
    progress_clear(&bulk->progress);
    fflush(stdout);
    const bool named = strstr(err->text, path) != NULL;
    fprintf(stderr, "perceptd: %s%s%s\n", named ? "" : text_escaped(&arena, path), named ? "" : ": ",
            text_escaped(&arena, err->text));
    arena_free(&arena);
}

static void slot_print(struct slot *slot, bool failed)
{
    struct bulk *bulk = slot->bulk;
    struct text text = {.arena = &slot->arena};
    if (failed)
        form_print_failure(&text, &bulk->form, slot->item->path, &slot->job.err);
    else
        form_print(&text, &bulk->form, slot->item->path, slot->job.reply, !bulk->printed);
    bulk->printed |= text.n_bytes > 0;
    if (!command_print(&text, &bulk->err))
        bulk->leaving = true;
}

static void slot_end(struct slot *slot)
{
    struct bulk *bulk = slot->bulk;
    const bool failed = slot->job.err.code != ERR_NONE;
    bulk->n_left += slot->left;
    bulk->n_failed += failed;
    if (failed)
        complain(bulk, slot->item->path, &slot->job.err);
    if (!slot->result && !bulk->leaving)
        slot_print(slot, failed);
    arena_buffer_free((void *)(uintptr_t)slot->body.at);
    arena_free(&slot->arena);
    bulk->n_ended++;
}

static void stop_loop(void *loop)
{
    loop_stop(loop);
}

static void leave(struct bulk *bulk)
{
    bulk->leaving = true;
    catalog_drain(bulk->catalog, stop_loop, bulk->loop);
    loop_wake(bulk->loop);
}

/* The oldest that are over make room for others. */
static void go_on(struct bulk *bulk)
{
    while (bulk->n_ended < bulk->n_begun && bulk->slots[bulk->n_ended % bulk->n_slots].over)
        slot_end(&bulk->slots[bulk->n_ended % bulk->n_slots]);
    while (!bulk->leaving && bulk->n_begun < bulk->files.n && bulk->n_begun < bulk->n_ended + bulk->n_slots) {
        slot_begin(&bulk->slots[bulk->n_begun % bulk->n_slots], bulk->n_begun);
        bulk->n_begun++;
        loop_wake(bulk->loop);
    }
    progress_show(&bulk->progress, bulk->n_ended, bulk->n_failed, bulk->n_left);
}

/* --- the model ---------------------------------------------------------------------------------------------------- */

static bool find_files(struct bulk *bulk, struct percept_err *err)
{
    const struct options_list *paths = &bulk->options->paths;
    if (paths->n < 2)
        return err_set(err, ERR_CONFIG, "there is nothing to run the model on: perceptd run MODEL FILE|FOLDER...");
    for (int i = 1; i < paths->n; i++)
        if (!files_add(&bulk->files, paths->at[i], bulk->options->output, err))
            return false;
    return true;
}

struct result {
    const char *path;
    int number;
};

static int compare(const void *a, const void *b)
{
    const struct result *one = a, *two = b;
    const int order = strcmp(one->path, two->path);
    return order ? order : one->number - two->number;
}

/* Files of one name from several folders, or one that is called as another's result: the first has it. */
static bool find_clashes(struct bulk *bulk, struct percept_err *err)
{
    struct arena arena = {0};
    struct files *files = &bulk->files;
    struct result *results = arena_array(&arena, (size_t)files->n + 1, sizeof *results);
    bool good = results != NULL;
    for (int i = 0; i < files->n && good; i++) {
        const char *name = files->at[i].name;
        results[i].path = form_path(&bulk->form, form_of(&bulk->form, bulk->served, name), name, &arena);
        results[i].number = i;
        good = results[i].path != NULL;
    }
    if (good)
        qsort(results, (size_t)files->n, sizeof *results, compare);
    for (int i = 1; i < files->n && good; i++)
        files->at[results[i].number].clashes = strcmp(results[i].path, results[i - 1].path) == 0;
    arena_free(&arena);
    return good || err_memory(err, "the names of results", (size_t)files->n * sizeof *results);
}

static bool begin(struct bulk *bulk, struct percept_err *err)
{
    const bool many = bulk->files.folder || bulk->options->paths.n > 2;
    if (!form_choose(&bulk->form, bulk->options, bulk->served, many, err) ||
        (bulk->form.folder && !find_clashes(bulk, err)))
        return false;
    for (int i = 0; i < bulk->n_slots; i++)
        bulk->slots[i].bulk = bulk;
    progress_begin(&bulk->progress, bulk->files.n, bulk->form.output != NULL, many);
    return true;
}

/* Told of the model's load, and may call nothing of the catalog: the turn behind it goes on. */
static void on_loaded(void *user, const struct served *served, const struct percept_err *why)
{
    struct bulk *bulk = user;
    (void)served;
    if (why)
        bulk->err = *why;
    loop_wake(bulk->loop);
}

static void on_turn(void *user)
{
    struct bulk *bulk = user;
    const bool begun = bulk->slots[0].bulk;
    if (!bulk->leaving && !begun && !bulk->err.code) {
        if (bulk->served->state != SERVED_READY || !begin(bulk, &bulk->err)) {
            if (bulk->err.code)
                leave(bulk);
            return;
        }
    }
    if (bulk->slots[0].bulk)
        go_on(bulk);
    if (!catalog_draining(bulk->catalog) && (bulk->err.code || bulk->n_ended == bulk->files.n))
        leave(bulk);
}

static bool set_threads(struct settings *settings, struct percept_err *err)
{
    char text[16];
    if (!settings->workers)
        settings->workers = cores_available();
    settings->load_threads = 1;
    snprintf(text, sizeof text, "%d", settings->workers);
    return setenv("UV_THREADPOOL_SIZE", text, 1) == 0 || err_memory(err, "the environment", sizeof text);
}

static bool set_up(struct bulk *bulk, struct percept_err *err)
{
    const int wanted = bulk->settings.workers * SLOTS_PER_WORKER;
    bulk->n_slots = wanted < SLOTS_MAX ? wanted : SLOTS_MAX;
    bulk->slots = arena_buffer((size_t)bulk->n_slots * sizeof *bulk->slots);
    if (!bulk->slots)
        return err_memory(err, "the files under way", (size_t)bulk->n_slots * sizeof *bulk->slots);
    bulk->loop = loop_new(bulk->settings.workers, err);
    bulk->catalog = bulk->loop ? catalog_new(bulk->loop, &bulk->settings, err) : NULL;
    return bulk->catalog;
}

static bool start(struct bulk *bulk, struct percept_err *err)
{
    if (!find_files(bulk, err) || !set_threads(&bulk->settings, err))
        return false;
    const struct found *found = command_find(&bulk->scan, bulk->options->paths.at[0], err);
    if (!found || !set_up(bulk, err))
        return false;
    bulk->root.path = bulk->options->paths.at[0];
    const struct catalog_order order = {.found = found, .root = &bulk->root, .ended = on_loaded, .user = bulk};
    bulk->served = catalog_place(bulk->catalog, &order, err);
    loop_on_turn(bulk->loop, on_turn, bulk);
    loop_wake(bulk->loop);
    return bulk->served;
}

static void tear_down(struct bulk *bulk)
{
    if (bulk->loop)
        loop_off_turn(bulk->loop, bulk);
    catalog_free(bulk->catalog);
    if (bulk->loop)
        loop_free(bulk->loop);
    arena_buffer_free(bulk->slots);
    arena_free(&bulk->files.arena);
    arena_free(&bulk->scan.arena);
}

int bulk_run(const struct options *options)
{
    struct bulk bulk = {.options = options, .settings = options->settings};
    log_setup(LOG_WARN_LEVEL, false);
    log_set_levels(1u << LOG_WARN_LEVEL); /* a load that fails is told once, by us */
    if (start(&bulk, &bulk.err))
        loop_run(bulk.loop);
    progress_end(&bulk.progress, bulk.n_ended, bulk.n_failed, bulk.n_left);
    tear_down(&bulk);
    if (bulk.err.code)
        return command_fail(&bulk.err);
    return bulk.n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
