/*
 * repository.c - see repository.h. What somebody wants is a control:
 *
 *     QUEUED   until nothing before it is about the same name (see below for reloads, which are about all)
 *  -> LOOKING  a loader reads what the client said, and looks at all paths (survey.c)
 *  -> LOADING  back on the loop: what is wanted is placed in the catalog, which loads it beside what stands
 *  -> told     when all these loads have ended; what is on disk no more is removed then, so that there is no gap
 *
 * A reload begins when all others have ended that were asked for before it or are under way. Once it is LOADING it is
 * about the names that it loads, and no other waits for it; so neither SIGHUP nor the watcher holds back loads of what
 * has not changed behind a model that takes its time. A reload that itself waits for others is passed by what does not
 * concern these; one that is next is not, so that it comes to its turn.
 *
 * Controls that can begin at the same time share one look. An unload looks at nothing: it removes when its turn has
 * come. The names that somebody has asked for or unloaded are remembered, as wishes; for all others the daemon's
 * start decides (settings.load).
 *
 * A version stays, whatever the disk says, while another of its model is loading or has failed: a load that fails
 * leaves what was there. So does a path that cannot be looked at.
 *
 * A control may outlive whoever asked: it owns the body, and `told` is called for the last time when they leave.
 */
#include "serve/repository.h"

#include "base/err.h"
#include "base/log.h"
#include "serve/notice.h"
#include "serve/override.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum control_kind { CONTROL_LOAD, CONTROL_UNLOAD, CONTROL_RELOAD, CONTROL_LOOK };
enum control_state { CONTROL_QUEUED, CONTROL_LOOKING, CONTROL_LOADING };

/* What a control waits for. */
struct awaited {
    struct awaited *next;
    const char *name;
    int64_t version;
};

struct control {
    struct control *next;
    struct repository *repository;
    enum control_kind kind;
    enum control_state state;
    const char *name; /* "": all */
    struct arena arena, body_arena;
    repository_told *told; /* NULL: nobody waits */
    void *user;
    bool cancelled;
    struct awaited *loads;
    struct percept_err err; /* the first thing that went wrong */

    /* a loader's while LOOKING */
    struct control *look_next;
    struct bytes body;
    struct override override;
};

struct wish {
    struct wish *next;
    const char *name;
    bool wanted, had;
};

/* One trip of a loader. */
struct look {
    struct task task;
    struct control *controls; /* by look_next; NULL: none is under way */
    const struct root *roots;
    int notice; /* -1: none */
    struct survey survey;
    struct percept_err err;
};

struct repository {
    struct loop *loop;
    struct catalog *catalog;
    const struct settings *settings;
    struct arena arena; /* of roots and wishes */
    struct root *roots;
    struct wish *wishes;
    struct survey seen;
    struct control *controls; /* in the order of asking */
    struct look look;
    int64_t (*now_ns)(void);
    int notice; /* of who watches, or -1 */
    bool restless;
};

/* --- wishes ------------------------------------------------------------------------------------------------------- */

static struct wish *wish_of(const struct repository *repository, const char *name)
{
    struct wish *wish = repository->wishes;
    while (wish && strcmp(wish->name, name) != 0)
        wish = wish->next;
    return wish;
}

static bool set_wish(struct repository *repository, const char *name, bool wanted, struct percept_err *err)
{
    struct wish *wish = wish_of(repository, name);
    if (!wish) {
        wish = arena_alloc(&repository->arena, sizeof *wish);
        char *own = arena_text(&repository->arena, name, strlen(name));
        if (!wish || !own)
            return err_memory(err, "the names of models", strlen(name));
        *wish = (struct wish){.next = repository->wishes, .name = own, .had = !repository->settings->load_none};
        repository->wishes = wish;
    }
    wish->wanted = wanted;
    wish->had |= wanted;
    return true;
}

bool repository_wants(const struct repository *repository, const char *name)
{
    const struct wish *wish = wish_of(repository, name);
    return wish ? wish->wanted : !repository->settings->load_none;
}

bool repository_had(const struct repository *repository, const char *name)
{
    const struct wish *wish = wish_of(repository, name);
    return wish ? wish->had : !repository->settings->load_none;
}

/* Nothing being served is as it should be when whatever lies there is unwanted. */
static void judge_emptiness(struct repository *repository)
{
    bool wanted = false, any = false;
    for (const struct sighting *at = repository->seen.first; at; at = at->next) {
        any = true;
        wanted |= repository_wants(repository, at->found.name);
    }
    catalog_may_be_empty(repository->catalog, any && !wanted);
}

/* --- placing ------------------------------------------------------------------------------------------------------ */

/* The catalog's list; what is leaving does not count. */
static struct served *listed(const struct repository *repository, const char *name, int64_t version)
{
    for (struct served *at = catalog_first(repository->catalog); at; at = at->next)
        if (at->version == version && at->state != SERVED_UNLOADING && strcmp(at->name, name) == 0)
            return at;
    return NULL;
}

static void note_failure(struct control *control, const char *name, int64_t version, const struct percept_err *why,
                         const char *reason)
{
    if (!control->err.code)
        err_set(&control->err, (enum err_code)why->code, "failed to load '%s', version %" PRId64 ": %s", name, version,
                reason);
}

static void on_ended(void *user, const struct served *served, const struct percept_err *why)
{
    struct control *control = user;
    struct awaited **at = &control->loads;
    while ((*at)->version != served->version || strcmp((*at)->name, served->name) != 0)
        at = &(*at)->next;
    *at = (*at)->next;
    if (why)
        note_failure(control, served->name, served->version, why, served->reason);
    loop_wake(control->repository->loop);
}

static void place(struct control *control, struct catalog_order *order)
{
    struct percept_err why = {0};
    const char *name = order->found->name;
    struct awaited *load = arena_alloc(&control->arena, sizeof *load);
    char *own = arena_text(&control->arena, name, strlen(name));
    order->ended = on_ended;
    order->user = control;
    if (!load || !own) {
        err_memory(&why, "the name of a model", strlen(name));
    } else {
        *load = (struct awaited){.next = control->loads, .name = own, .version = order->found->version};
        control->loads = load;
        if (catalog_place(control->repository->catalog, order, &why))
            return;
        control->loads = load->next;
    }
    note_failure(control, name, order->found->version, &why, why.text);
}

static void place_sighting(struct control *control, const struct sighting *at)
{
    struct catalog_order order = {.found = &at->found,
                                  .root = at->root,
                                  .stamp = at->stamp,
                                  .override = control->override.has_config ? &control->override : NULL};
    place(control, &order);
}

/* Files that came with the request are all that there is of the model. */
static void place_files(struct control *control)
{
    for (const struct override_file *at = control->override.files; at; at = at->next) {
        const char *path =
            arena_printf(&control->arena, "%s/%" PRId64 "/model.onnx (sent)", control->name, at->version);
        const struct found found = {.name = control->name, .version = at->version, .path = path};
        struct catalog_order order = {.found = &found, .override = &control->override};
        if (path)
            place(control, &order);
        else
            err_memory(&control->err, "a path", strlen(control->name));
    }
}

/* Why there is nothing to load. */
static void refuse_unknown(struct control *control)
{
    const struct repository *repository = control->repository;
    size_t n = strlen(control->name);
    for (const struct omitted *at = catalog_omitted(repository->catalog); at; at = at->next)
        if (strncmp(at->name, control->name, n) == 0 && strchr("/.", at->name[n])) {
            err_set(&control->err, ERR_MODEL, "failed to load '%s', failed to poll from model repository: %s",
                    control->name, at->why);
            return;
        }
    err_set(&control->err, ERR_MODEL, "failed to load '%s', failed to poll from model repository", control->name);
}

static bool lies_there(const struct repository *repository, const char *name)
{
    const struct sighting *at = repository->seen.first;
    while (at && strcmp(at->found.name, name) != 0)
        at = at->next;
    return at != NULL;
}

static void begin_load(struct control *control)
{
    struct repository *repository = control->repository;
    if (!control->override.files && !lies_there(repository, control->name))
        refuse_unknown(control);
    else if (!set_wish(repository, control->name, true, &control->err))
        return;
    else if (control->override.files)
        place_files(control);
    else
        for (const struct sighting *at = repository->seen.first; at; at = at->next)
            if (strcmp(at->found.name, control->name) == 0)
                place_sighting(control, at);
}

/* Is it served as it lies there? Whoever asks for a reload wants what has failed to be tried again. */
static bool is_served(const struct control *control, const struct sighting *at)
{
    const struct served *stands = listed(control->repository, at->found.name, at->found.version);
    if (!stands || stands->overridden)
        return stands;
    bool failed = stands->state == SERVED_FAILED || *stands->reason;
    return stands->stamp == at->stamp && !(failed && control->kind == CONTROL_RELOAD);
}

static void begin_reload(struct control *control)
{
    struct repository *repository = control->repository;
    int64_t now_ns = repository->now_ns();
    bool watches = control->kind == CONTROL_LOOK;
    repository->restless &= !watches;
    for (const struct sighting *at = repository->seen.first; at; at = at->next) {
        if (!repository_wants(repository, at->found.name) || is_served(control, at))
            continue;
        if (watches && now_ns - at->since_ns < REPOSITORY_CALM_NS)
            repository->restless = true;
        else
            place_sighting(control, at);
    }
}

/* --- unloading ---------------------------------------------------------------------------------------------------- */

/* Names are remembered of what there is, or was. */
static bool is_known(const struct repository *repository, const char *name)
{
    return lies_there(repository, name) || wish_of(repository, name);
}

static void unload(struct control *control)
{
    struct repository *repository = control->repository;
    char left[200] = "";
    size_t used = 0;
    struct percept_err why = {0};
    for (struct served *at = catalog_first(repository->catalog); at; at = at->next) {
        if (strcmp(at->name, control->name) != 0 || catalog_remove(repository->catalog, at, &why))
            continue;
        int n = snprintf(left + used, sizeof left - used, "%s%" PRId64, used ? "," : "", at->version);
        used += n > 0 && (size_t)n < sizeof left - used ? (size_t)n : 0;
    }
    if (used)
        err_set(&control->err, ERR_INVALID, "failed to unload '%s', versions that are still available: %s: %s",
                control->name, left, why.text);
    else if (is_known(repository, control->name))
        set_wish(repository, control->name, false, &control->err);
    judge_emptiness(repository);
}

/* Each as soon as its version can be asked, so that a name moves from one that answers to another that does. At the
 * start nothing answers yet. */
static void set_labels(struct repository *repository, bool start)
{
    struct percept_err why = {0};
    for (const struct survey_label *at = repository->seen.labels; at; at = at->next) {
        const struct served *served = listed(repository, at->model, at->version);
        if (served && (start || served->state == SERVED_READY) &&
            !catalog_label(repository->catalog, at->model, at->name, at->version, &why))
            log_warn("a version has no name", "model", at->model, "name", at->name, "why", why.text, NULL);
    }
}

/* Whatever is there of it on disk is served. */
static bool is_whole(const struct repository *repository, const char *name)
{
    for (const struct sighting *at = repository->seen.first; at; at = at->next) {
        if (strcmp(at->found.name, name) != 0)
            continue;
        const struct served *served = listed(repository, name, at->found.version);
        if (!served || served->state != SERVED_READY)
            return false;
    }
    return true;
}

static bool in_files(const struct control *control, int64_t version)
{
    const struct override_file *at = control->override.files;
    while (at && at->version != version)
        at = at->next;
    return at != NULL;
}

static bool is_gone(const struct control *control, const struct served *served)
{
    const struct repository *repository = control->repository;
    if (control->kind == CONTROL_LOAD) {
        if (strcmp(served->name, control->name) != 0 || control->err.code)
            return false;
        if (control->override.files)
            return !in_files(control, served->version);
    } else if (served->overridden) {
        return false;
    }
    return (!served->root || survey_saw(&repository->seen, served->root)) &&
           !survey_find(&repository->seen, served->name, served->version) && is_whole(repository, served->name);
}

/* Another control loads or unloads it, and says what becomes of it. */
static bool is_others(const struct control *control, const char *name)
{
    const struct control *at = control->repository->controls;
    while (at && (at == control || !*at->name || at->state != CONTROL_LOADING || strcmp(at->name, name) != 0))
        at = at->next;
    return at != NULL;
}

/* Whoever watches waits a while: a folder that is copied anew is away for a moment. */
static bool may_go(const struct control *control, struct served *served)
{
    struct repository *repository = control->repository;
    int64_t now_ns = repository->now_ns();
    bool gone = served->state != SERVED_UNLOADING && !is_others(control, served->name) && is_gone(control, served);
    if (!gone || !served->missed_ns)
        served->missed_ns = gone ? now_ns : 0;
    bool waits = gone && control->kind == CONTROL_LOOK && now_ns - served->missed_ns < REPOSITORY_CALM_NS;
    repository->restless |= waits;
    return gone && !waits;
}

/* Does another version answer from now on who asks for none? */
static bool is_superseded(const struct repository *repository, const struct served *served)
{
    const struct served *at = catalog_first(repository->catalog);
    while (at && (at == served || at->state != SERVED_READY || strcmp(at->name, served->name) != 0))
        at = at->next;
    return at != NULL;
}

/* Another model may need it: then it stays, and the log says so. */
static void remove_gone(const struct control *control)
{
    struct catalog *catalog = control->repository->catalog;
    struct percept_err why = {0};
    for (struct served *at = catalog_first(catalog), *next; at; at = next) {
        next = at->next;
        if (!may_go(control, at))
            continue;
        bool goes = is_superseded(control->repository, at) ? catalog_supersede(catalog, at, &why)
                                                           : catalog_remove(catalog, at, &why);
        if (!goes)
            log_warn("a model that is gone from disk stays", "model", at->name, "why", why.text, NULL);
    }
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

static void read_body(struct control *control)
{
    if (!override_read(&control->override, control->name, control->body, &control->err))
        err_prefix(&control->err, "failed to load '%s', ", control->name);
}

/* A path without a model is no failure here: it is told among what is left out. */
static void look_at_roots(struct look *look)
{
    struct percept_err why = {0};
    for (const struct root *root = look->roots; root && why.code != ERR_MEMORY; root = root->next)
        survey_root(&look->survey, root, &why);
    if (why.code == ERR_MEMORY)
        look->err = why;
}

/* What was seen alike before was so since then. Nobody changes what was seen while a look is under way. */
static void date(const struct repository *repository, struct survey *survey)
{
    int64_t now_ns = repository->now_ns();
    for (struct sighting *at = survey->first; at; at = at->next) {
        const struct sighting *before = survey_find(&repository->seen, at->found.name, at->found.version);
        at->since_ns = before && before->stamp == at->stamp ? before->since_ns : now_ns;
    }
}

static void look_work(struct task *task)
{
    struct look *look = (struct look *)(void *)task; /* its first member */
    for (struct control *at = look->controls; at; at = at->look_next)
        read_body(at);
    look_at_roots(look);
    date(look->controls->repository, &look->survey);
    if (look->notice >= 0 && !look->err.code)
        notice_follow(look->notice, &look->survey, look->roots);
}

static bool is_labelled(const struct survey *survey, const struct survey_label *label)
{
    const struct survey_label *at = survey->labels;
    while (at && (strcmp(at->model, label->model) != 0 || strcmp(at->name, label->name) != 0))
        at = at->next;
    return at != NULL;
}

/* Names that no manifest has any more. */
static void take_labels_away(struct repository *repository, const struct survey *survey)
{
    for (const struct survey_label *at = repository->seen.labels; at; at = at->next)
        if (!is_labelled(survey, at))
            catalog_label(repository->catalog, at->model, at->name, 0, NULL);
}

static void take_survey(struct repository *repository)
{
    struct look *look = &repository->look;
    if (!look->err.code && catalog_omit(repository->catalog, look->survey.scan.first_omitted, &look->err)) {
        take_labels_away(repository, &look->survey);
        survey_free(&repository->seen);
        repository->seen = look->survey;
    } else {
        survey_free(&look->survey);
    }
    look->survey = (struct survey){.first = NULL};
}

static void look_done(struct task *task)
{
    struct look *look = (struct look *)(void *)task;
    struct control *next, *first = look->controls;
    struct repository *repository = first->repository;
    take_survey(repository);
    for (struct control *at = first; at; at = next) {
        next = at->look_next;
        at->state = CONTROL_LOADING;
        if (look->err.code && !at->err.code)
            at->err = look->err;
        if (at->err.code)
            continue;
        if (at->kind == CONTROL_LOAD)
            begin_load(at);
        else
            begin_reload(at);
    }
    look->controls = NULL;
    judge_emptiness(repository);
    catalog_release(repository->catalog);
}

static void begin_look(struct repository *repository)
{
    struct look *look = &repository->look;
    look->task = (struct task){.work = look_work, .done = look_done};
    look->roots = repository->roots;
    look->notice = repository->notice;
    look->err = (struct percept_err){0};
    catalog_hold(repository->catalog);
    loop_load(repository->loop, &look->task);
}

/* --- controls ----------------------------------------------------------------------------------------------------- */

static bool awaits(const struct control *control, const char *name)
{
    const struct awaited *at = control->loads;
    while (at && strcmp(at->name, name) != 0)
        at = at->next;
    return at != NULL;
}

/* Must one about this name wait for the other, which was asked for before it? */
static bool holds(const struct control *before, const char *name)
{
    if (*before->name)
        return strcmp(before->name, name) == 0;
    switch (before->state) {
    case CONTROL_QUEUED:
        return before == before->repository->controls;
    case CONTROL_LOOKING:
        return true;
    case CONTROL_LOADING:
        break;
    }
    return awaits(before, name);
}

static bool may_begin(const struct repository *repository, const struct control *control)
{
    const bool all = !*control->name;
    const struct control *at = repository->controls;
    for (; at != control; at = at->next)
        if (all || holds(at, control->name))
            return false;
    for (at = control->next; at && all; at = at->next)
        if (at->state != CONTROL_QUEUED)
            return false; /* it has passed */
    return true;
}

static void begin(struct control *control)
{
    struct repository *repository = control->repository;
    if (catalog_draining(repository->catalog)) {
        control->state = CONTROL_LOADING;
        err_set(&control->err, ERR_UNAVAILABLE, "Server exiting");
    } else if (control->kind == CONTROL_UNLOAD) {
        control->state = CONTROL_LOADING;
        unload(control);
    } else {
        control->state = CONTROL_LOOKING;
        control->look_next = repository->look.controls;
        repository->look.controls = control;
    }
}

static void begin_all(struct repository *repository)
{
    if (repository->look.controls)
        return; /* a look is under way: the next one comes behind it */
    for (struct control *at = repository->controls; at; at = at->next)
        if (at->state == CONTROL_QUEUED && may_begin(repository, at))
            begin(at);
    if (repository->look.controls)
        begin_look(repository);
}

static void tell(struct control *control, const struct percept_err *why)
{
    repository_told *told = control->told;
    control->told = NULL;
    if (told)
        told(control->user, why);
}

static void free_control(struct control *control)
{
    override_free(&control->override);
    arena_free(&control->body_arena);
    arena_free(&control->arena);
    arena_buffer_free(control);
}

static void finish(struct control *control)
{
    set_labels(control->repository, false);
    if (control->kind != CONTROL_UNLOAD && !catalog_draining(control->repository->catalog))
        remove_gone(control);
    if (control->kind == CONTROL_RELOAD)
        log_info("looked at all models again", control->err.code ? "why" : NULL, control->err.text, NULL);
    tell(control, control->err.code ? &control->err : NULL);
    free_control(control);
}

static bool finish_all(struct repository *repository)
{
    bool any = false;
    for (struct control **at = &repository->controls; *at;) {
        struct control *control = *at;
        if (control->cancelled) {
            const struct percept_err why = {.code = ERR_CANCELLED, .text = "nobody waits for it any more"};
            tell(control, &why);
        }
        if (control->state != CONTROL_LOADING || control->loads) {
            at = &control->next;
            continue;
        }
        *at = control->next;
        finish(control);
        any = true;
    }
    return any;
}

static void on_turn(void *user)
{
    struct repository *repository = user;
    do
        begin_all(repository);
    while (finish_all(repository));
}

static struct control *add_control(struct repository *repository, enum control_kind kind, const char *name,
                                   struct percept_err *err)
{
    if (catalog_draining(repository->catalog))
        return err_null(err, ERR_UNAVAILABLE, "Server exiting");
    struct control *control = arena_buffer(sizeof *control);
    char *own = control ? arena_text(&control->arena, name, strlen(name)) : NULL;
    if (!own) {
        if (control)
            free_control(control);
        return err_null(err, ERR_MEMORY, "out of memory: a request for the repository");
    }
    control->repository = repository;
    control->kind = kind;
    control->name = own;
    struct control **at = &repository->controls;
    while (*at)
        at = &(*at)->next;
    *at = control;
    loop_wake(repository->loop);
    return control;
}

struct control *repository_load(struct repository *repository, const char *name, struct arena *arena, struct bytes body,
                                repository_told *told, void *user, struct percept_err *err)
{
    struct control *control = add_control(repository, CONTROL_LOAD, name, err);
    if (!control)
        return NULL;
    if (arena) {
        control->body = body;
        control->body_arena = *arena;
        *arena = (struct arena){0};
    }
    control->told = told;
    control->user = user;
    return control;
}

struct control *repository_unload(struct repository *repository, const char *name, repository_told *told, void *user,
                                  struct percept_err *err)
{
    struct control *control = add_control(repository, CONTROL_UNLOAD, name, err);
    if (!control)
        return NULL;
    control->told = told;
    control->user = user;
    return control;
}

/* One that has not begun will see what there is to be seen. */
bool repository_reload(struct repository *repository, repository_told *told, void *user, struct percept_err *err)
{
    struct control *control = repository->controls;
    while (control && (control->kind != CONTROL_RELOAD || control->state != CONTROL_QUEUED))
        control = control->next;
    if (!control)
        control = add_control(repository, CONTROL_RELOAD, "", err);
    if (!control)
        return false;
    control->told = told;
    control->user = user;
    return true;
}

bool repository_look(struct repository *repository, int notice, repository_told *told, void *user,
                     struct percept_err *err)
{
    for (const struct control *at = repository->controls; at; at = at->next)
        if (at->kind == CONTROL_LOOK)
            return true;
    struct control *control = add_control(repository, CONTROL_LOOK, "", err);
    if (!control)
        return false;
    repository->notice = notice;
    control->told = told;
    control->user = user;
    return true;
}

bool repository_is_restless(const struct repository *repository)
{
    return repository->restless;
}

void repository_set_clock(struct repository *repository, int64_t (*now_ns)(void))
{
    repository->now_ns = now_ns;
}

void repository_cancel(struct repository *repository, struct control *control)
{
    control->cancelled = true;
    loop_wake(repository->loop);
}

/* --- the start ---------------------------------------------------------------------------------------------------- */

static const struct root *root_of(struct repository *repository, const char *path, struct percept_err *err)
{
    struct root **at = &repository->roots;
    for (; *at; at = &(*at)->next)
        if (strcmp((*at)->path, path) == 0)
            return *at;
    struct root *root = arena_alloc(&repository->arena, sizeof *root);
    const char *own = arena_text(&repository->arena, path, strlen(path));
    if (!root || !own)
        return err_null(err, ERR_MEMORY, "out of memory: the list of folders");
    *root = (struct root){.path = own};
    return *at = root;
}

static bool place_all(struct repository *repository, const struct sighting *first, struct percept_err *err)
{
    for (const struct sighting *at = first; at; at = at->next) {
        const struct catalog_order order = {.found = &at->found, .root = at->root, .stamp = at->stamp};
        if (repository_wants(repository, at->found.name) && !catalog_place(repository->catalog, &order, err))
            return false;
    }
    return true;
}

bool repository_want(struct repository *repository, const char *name, struct percept_err *err)
{
    return set_wish(repository, name, true, err);
}

bool repository_add(struct repository *repository, const char *path, struct percept_err *err)
{
    assert(!repository->controls);
    struct survey *seen = &repository->seen;
    const struct sighting *last = seen->last;
    const struct root *root = root_of(repository, path, err);
    bool found = root && survey_root(seen, root, err);
    bool told = catalog_omit(repository->catalog, seen->scan.first_omitted, found ? err : NULL);
    bool ok = found && told && place_all(repository, last ? last->next : seen->first, err);
    set_labels(repository, true);
    judge_emptiness(repository);
    return ok;
}

const struct root *repository_roots(const struct repository *repository)
{
    return repository->roots;
}

const struct survey *repository_seen(const struct repository *repository)
{
    return &repository->seen;
}

struct repository *repository_new(struct loop *loop, struct catalog *catalog, const struct settings *settings,
                                  struct percept_err *err)
{
    struct repository *repository = arena_buffer(sizeof *repository);
    if (!repository)
        return err_null(err, ERR_MEMORY, "out of memory: the repository");
    repository->loop = loop;
    repository->catalog = catalog;
    repository->settings = settings;
    repository->now_ns = loop_now_ns;
    repository->notice = -1;
    loop_on_turn(loop, on_turn, repository);
    return repository;
}

void repository_free(struct repository *repository)
{
    if (!repository)
        return;
    assert(!repository->look.controls);
    loop_off_turn(repository->loop, repository);
    while (repository->controls) {
        struct control *control = repository->controls;
        repository->controls = control->next;
        free_control(control);
    }
    survey_free(&repository->seen);
    arena_free(&repository->arena);
    arena_buffer_free(repository);
}
