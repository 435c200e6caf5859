/*
 * serve.c - the life of the daemon, top to bottom.
 *
 *     options -> settings -> loop, catalog, server: the doors are open, readiness says 503
 *     -> models load, some at a time -> ready: tell systemd, or the person at the terminal
 *     -> SIGTERM or SIGINT: not ready, serve on for a while, answer what was accepted -> exit 0
 *
 * The doors open before models load, so that a port that is taken is told at once and probes get
 * answers. A second signal gives requests that still run a second to notice, a third does not wait
 * at all. SIGHUP is the same as SIGTERM where the terminal that we were started from is gone; where
 * somebody sends it all models, the keys and the certificate are read again. Under nohup nobody listens to it. When
 * every model has failed there is nothing to serve and we end with 1, unless more may come (--admin)
 * or an empty server was wanted.
 *
 * Under systemd we stay in that case, and when the folder is empty or not there: ending would have
 * us started again, by Restart= or by whoever knocks at the socket, until the limit of starts fails
 * the socket as well. So we say READY=1 (else the start would time out), readiness says 503, and
 * status, log and readiness say why. A wrong option ends us there, too: nobody could have meant it.
 *
 * Regions that a crash left behind are removed once our own models are open: until then they may be
 * just what we are looking for. The watchdog's sign of life is a timer of the loop, so a loop that
 * hangs gives none.
 *
 * Thread: the main one, which becomes the loop's. Beside serve/loop.c and http/server.c this is the
 * only file that knows libuv, for signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "command/address.h"
#include "command/cgroup.h"
#include "command/command.h"
#include "command/cores.h"
#include "command/limits.h"
#include "command/welcome.h"
#include "http/listen.h"
#include "http/place.h"
#include "http/server.h"
#include "http/site.h"
#include "serve/repository.h"
#include "serve/watcher.h"
#include "sd.h"

#define GRACE_NS 1000000000 /* between the second signal and the end */
#define LOADS_MAX 4         /* at a time, where nobody says how many: each has memory of its own */
#define DESCRIPTORS 32      /* what starting takes, files in passing included, and a few clients */

struct serving {
    const struct options *options;
    struct settings settings;
    struct cores_watch cores;
    int n_threads, asked_workers; /* 0: as many as there are cores, whenever that is */
    struct percept_budget budget; /* settings.memory_total_bytes, if that is said */
    struct loop *loop;
    struct catalog *catalog;
    struct repository *repository;
    struct watcher *watcher;
    struct server *server;
    struct loop_timer *watchdog, *grace;
    int64_t watchdog_ns;
    struct arena arena;
    const char *const *places; /* where it listens */
    int n_places;
    const char *where; /* the same, for people */
    const char *url;   /* one of them, as curl takes it */
    bool terminal;     /* somebody looks on */
    bool attached;     /* to a terminal when it started */
    bool loaded;
    int n_asked; /* to end */
    int status;
};

/* Lists of texts as well, which the options keep. */
static struct settings settings_of(const struct options *options)
{
    struct settings settings = options->settings;
    settings.trusted_proxies = options->trusted_proxies.at;
    settings.n_trusted_proxies = options->trusted_proxies.n;
    settings.cors_origins = options->cors_origins.at;
    settings.n_cors_origins = options->cors_origins.n;
    return settings;
}

/* --- ending ------------------------------------------------------------------------------------------------------- */

static void on_drained(void *user)
{
    struct serving *serving = user;
    server_free(serving->server);
    serving->server = NULL;
    loop_stop(serving->loop);
}

static void on_grace_over(void *user)
{
    struct serving *serving = user;
    log_warn(catalog_loading(serving->catalog) ? "a model was still being loaded" : "requests were still running",
             NULL);
    _exit(EXIT_FAILURE);
}

static void end(struct serving *serving)
{
    if (!serving->server)
        return; /* it is over, and the loop about to stop */
    serving->n_asked++;
    if (serving->n_asked == 1) {
        sd_tell(serving->status ? "STOPPING=1" : "STOPPING=1\nSTATUS=answering what was accepted");
        log_info("stopping", NULL);
        server_drain(serving->server, on_drained, serving);
    } else if (serving->n_asked == 2) {
        log_info("stopping at once", NULL);
        loop_timer_start(serving->grace, GRACE_NS);
        server_stop(serving->server);
    } else if (server_connections(serving->server) > 0 || catalog_loading(serving->catalog)) {
        _exit(EXIT_FAILURE);
    } /* else nothing is cut short, and it is over in a moment */
}

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void on_reloaded(void *user, const struct percept_err *why)
{
    struct serving *serving = user;
    if (why)
        log_warn("not all models could be loaded again", "why", why->text, NULL);
    if (serving->loaded && !serving->n_asked)
        sd_tell("READY=1");
}

/* Keys that cannot be read stay as they were: a door that was locked is not left open. */
static void reload(struct serving *serving)
{
    struct percept_err err = {0};
    char us[32];
    snprintf(us, sizeof us, "%lld", (long long)(loop_now_ns() / 1000));
    sd_tellf("RELOADING=1\nMONOTONIC_USEC=%s", us);
    log_info("reading models, keys and the certificate again", NULL);
    if (serving->server && !server_read_keys(serving->server, &err))
        log_error("the API keys stay as they were", "why", err.text, NULL);
    if (serving->server)
        server_read_certificate(serving->server);
    if (!repository_reload(serving->repository, on_reloaded, serving, &err))
        on_reloaded(serving, &err);
}

static void on_hangup(struct serving *serving)
{
    if (serving->n_asked)
        return;
    if (!serving->attached || has_terminal())
        reload(serving);
    else
        end(serving);
}

/* Not libuv's uv_signal: that gives a signal its default back once nobody watches it, so that one which comes
 * while the last things are freed would kill us. */
static volatile sig_atomic_t asked_to_end, hung_up;
static uv_async_t bell;

static void on_signal(int number)
{
    const int before = errno; /* of whom it interrupts */
    if (number == SIGHUP)
        hung_up = true;
    else
        asked_to_end = true;
    uv_async_send(&bell);
    errno = before;
}

static void on_bell(uv_async_t *handle)
{
    if (hung_up) {
        hung_up = false;
        on_hangup(handle->data);
    }
    if (asked_to_end) {
        asked_to_end = false;
        end(handle->data);
    }
}

static void catch_signals(void (*handler)(int number))
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct sigaction before;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        bool nohup = numbers[i] == SIGHUP && sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler == SIG_IGN;
        if (!nohup)
            sigaction(numbers[i], &action, NULL);
    }
}

/* --- loading ------------------------------------------------------------------------------------------------------ */

struct tally {
    int n, ready, failed;
    int left_out; /* not of n */
};

static struct tally count(struct catalog *catalog)
{
    struct tally tally = {0};
    for (struct served *served = catalog_first(catalog); served; served = served->next) {
        tally.n++;
        tally.ready += served->state == SERVED_READY;
        tally.failed += served->state == SERVED_FAILED;
    }
    tally.left_out = catalog_n_omitted(catalog);
    return tally;
}

static void greet(struct serving *serving)
{
    struct arena arena = {0};
    struct text text = {.arena = &arena};
    welcome_add(&text, serving->catalog, &serving->settings, serving->where, serving->url);
    fwrite(text.at, 1, text.n_bytes, stderr);
    arena_free(&arena);
}

static void say_ready(struct serving *serving, struct tally tally)
{
    char ready[16], failed[16], left_out[16];
    snprintf(ready, sizeof ready, "%d", tally.ready);
    snprintf(failed, sizeof failed, "%d", tally.failed);
    snprintf(left_out, sizeof left_out, "%d", tally.left_out);
    sd_tellf("READY=1\nSTATUS=serving %d of %d models at %s", tally.ready, tally.n + tally.left_out, serving->where);
    log_info("serving", "at", serving->where, "#models", ready, "#failed", failed, "#left_out", left_out, NULL);
    if (serving->terminal)
        greet(serving);
}

/* Nothing can be served and a service manager looks on: we stay to say so. */
static void say_nothing_served(struct serving *serving)
{
    struct percept_err err = {0};
    catalog_ready(serving->catalog, &err);
    log_error("no model could be loaded; mend it and reload", "why", err.text, "at", serving->where, NULL);
    sd_tell_status("READY=1", err.text);
}

static void say_orphans(int n)
{
    char text[16];
    snprintf(text, sizeof text, "%d", n);
    if (n > 0)
        log_info("removed packed weights that nobody held", "#regions", text, NULL);
}

/* Every load that was asked for at the start has ended, well or not. */
static void on_loaded(struct serving *serving)
{
    const struct settings *settings = &serving->settings;
    serving->loaded = true;
    say_orphans(percept_clean_regions(settings->region_prefix, settings->keep_age_ms / 1000));
    malloc_trim(0); /* loading needs more memory than serving */
    struct tally tally = count(serving->catalog);
    if (serving->terminal)
        welcome_progress_end();
    if (tally.ready || settings->admin || settings->ready_when_empty) {
        say_ready(serving, tally);
    } else if (sd_watched()) {
        say_nothing_served(serving);
    } else {
        log_error("no model could be loaded", NULL);
        serving->status = EXIT_FAILURE;
        end(serving);
        end(serving);
    }
}

static void on_change(void *user, struct served *served)
{
    struct serving *serving = user;
    (void)served;
    if (serving->n_asked)
        return;
    struct tally tally = count(serving->catalog);
    if (serving->loaded) {
        sd_tellf("STATUS=serving %d of %d models at %s", tally.ready, tally.n, serving->where);
        return;
    }
    sd_tellf("STATUS=loading %d/%d", tally.ready + tally.failed, tally.n);
    if (serving->terminal)
        welcome_progress(serving->catalog);
}

/* Once a turn: catalog_on_change comes for each model, and more may be added behind it. */
static void on_turn(void *user)
{
    struct serving *serving = user;
    if (!serving->loaded && !serving->n_asked && !catalog_loading(serving->catalog))
        on_loaded(serving);
}

static void on_watchdog(void *user)
{
    struct serving *serving = user;
    sd_tell("WATCHDOG=1");
    loop_timer_start(serving->watchdog, serving->watchdog_ns);
}

/* --- starting ----------------------------------------------------------------------------------------------------- */

static bool level_exists(const char *level, struct percept_err *err)
{
    char names[80] = "";
    size_t used = 0;
    for (const char *const *name = percept_kernels(); *name && used < sizeof names; name++) {
        if (!level || strcmp(*name, level) == 0)
            return true;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", *name);
    }
    return err_set(err, ERR_CONFIG, "--kernels '%s': this processor has no such level; it has %s", level, names);
}

static bool paths_exist(const struct options *options, struct percept_err *err)
{
    if (!options->paths.n && !options->settings.ready_when_empty)
        return err_set(err, ERR_CONFIG,
                       "nothing to serve: name a .onnx file or a folder of models, or start empty with "
                       "--ready-when-empty");
    for (int i = 0; i < options->paths.n; i++)
        if (!file_exists(scan_place(options->paths.at[i])) && !sd_watched())
            return err_set(err, ERR_NOT_FOUND, "there is nothing at '%s'", options->paths.at[i]);
    return true;
}

/* libuv reads the size of its pool once, when the first work is queued. */
static bool set_threads(struct serving *serving, struct percept_err *err)
{
    char text[16];
    struct settings *settings = &serving->settings;
    const int cores = cores_available();
    serving->n_threads = settings->workers ? settings->workers : cores_threads(cores);
    serving->asked_workers = settings->workers;
    if (!settings->workers)
        settings->workers = cores;
    if (!settings->load_threads)
        settings->load_threads = cores < LOADS_MAX ? cores : LOADS_MAX;
    snprintf(text, sizeof text, "%d", serving->n_threads);
    return setenv("UV_THREADPOOL_SIZE", text, 1) == 0 || err_memory(err, "the environment", sizeof text);
}

/* A container that takes more is killed; the weights need some of it, and what is small is not counted. */
static void set_budget(struct serving *serving)
{
    struct settings *settings = &serving->settings;
    if (!settings->memory_total_bytes)
        settings->memory_total_bytes = limits_memory(CGROUP_ROOT, CGROUP_MEMBERSHIP) / 4 * 3;
    serving->budget.limit_bytes = settings->memory_total_bytes;
    settings->budget = settings->memory_total_bytes ? &serving->budget : NULL;
}

static void set_log(const struct serving *serving)
{
    enum log_level level = (enum log_level)serving->options->log_level;
    if (serving->terminal && level == LOG_INFO_LEVEL)
        level = LOG_WARN_LEVEL; /* the progress line and the welcome tell the rest */
    log_setup(level, serving->options->log_format == 1);
}

/* A path without a model leaves the others. When there is no model at all we may stay: on_loaded.
 */
static bool add_models(struct serving *serving, struct percept_err *err)
{
    const struct options_list *paths = &serving->options->paths;
    struct percept_err first = {0}, why = {0};
    for (int i = 0; i < paths->n && why.code != ERR_MEMORY; i++)
        if (!repository_add(serving->repository, paths->at[i], &why) && (!first.code || why.code == ERR_MEMORY))
            first = why;
    bool stays = catalog_first(serving->catalog) || serving->settings.ready_when_empty || sd_watched();
    if (!first.code || (stays && first.code != ERR_MEMORY))
        return true;
    *err = first;
    return false;
}

/* What --load says: all, none, or names. */
static bool choose_models(struct serving *serving, struct percept_err *err)
{
    const struct options_list *names = &serving->options->load;
    bool all = names->n == 1 && strcmp(names->at[0], "all") == 0;
    bool none = names->n == 1 && strcmp(names->at[0], "none") == 0;
    serving->settings.load_none = !all;
    if (none && !serving->settings.admin)
        return err_set(err, ERR_CONFIG, "--load none without --admin: no model could ever be loaded");
    for (int i = 0; i < names->n && !all && !none; i++) {
        if (!scan_name(names->at[i]))
            return err_set(err, ERR_CONFIG, "--load '%s': that is no model's name", names->at[i]);
        if (!repository_want(serving->repository, names->at[i], err))
            return false;
    }
    return true;
}

/* What is kept in /dev/shm stays there when its model goes. */
static bool room_is_room(const struct settings *settings, struct percept_err *err)
{
    return !settings->max_resident_bytes || !settings->keep_regions ||
           err_set(err, ERR_CONFIG,
                   "--max-resident with --keep-regions: packed weights that are kept leave no room; leave out one");
}

static bool set_up(struct serving *serving, struct percept_err *err)
{
    if (!room_is_room(&serving->settings, err) || !set_threads(serving, err) || !limits_descriptors(DESCRIPTORS, err))
        return false;
    serving->loop = loop_new(serving->n_threads, err);
    if (!serving->loop || !loop_loaders(serving->loop, serving->settings.load_threads, err))
        return false;
    if (!serving->asked_workers && !cores_watch_begin(&serving->cores, serving->loop, cores_available, err))
        return false;
    set_budget(serving);
    serving->catalog = catalog_new(serving->loop, &serving->settings, err);
    serving->repository =
        serving->catalog ? repository_new(serving->loop, serving->catalog, &serving->settings, err) : NULL;
    return serving->repository && choose_models(serving, err);
}

/* "cannot listen on 'PLACE': " stands before what the system says, and stays. Other errors are not about places. */
static void explain_address(struct percept_err *err)
{
    static const char begins[] = "cannot listen on '";
    static const struct {
        int number;
        const char *says;
    } rows[] = {
        {EADDRINUSE, "another program does; stop it, or choose another port with --listen, or 0 for a free one"},
        {EADDRNOTAVAIL, "this host has no such address; :PORT is all of them"},
        {EACCES, "ports below 1024 are for root; choose a higher one"}};
    if (strncmp(err->text, begins, strlen(begins)) != 0 || strstr(err->text, "'unix:"))
        return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *at = strstr(err->text, strerror(rows[i].number));
        if (at)
            snprintf(at, sizeof err->text - (size_t)(at - err->text), "%s", rows[i].says);
    }
}

/* A name that reads as what may stand behind '+' in --listen does so; any other (systemd's default is the unit's) says
 * nothing. */
static const char *passed_place(struct arena *arena, int i)
{
    struct place place;
    struct percept_err err;
    char name[PLACE_BYTES];
    const int fd = SD_FIRST_FD + i;
    const char *plain = arena_printf(arena, "fd:%d", fd);
    const char *named = sd_socket_name(i, name, sizeof name) ? arena_printf(arena, "fd:%d+%s", fd, name) : NULL;
    return named && place_read(named, &place, &err) ? named : plain;
}

/* What systemd has passed, else what was asked for. */
static bool choose_places(struct serving *serving, struct percept_err *err)
{
    const struct options_list *asked = &serving->options->listen;
    const int n_passed = sd_sockets();
    serving->places = asked->at;
    serving->n_places = asked->n;
    if (!n_passed)
        return true;
    const char **places = arena_array(&serving->arena, (size_t)n_passed, sizeof *places);
    if (!places)
        return err_memory(err, "the listening sockets", (size_t)n_passed * sizeof *places);
    for (int i = 0; i < n_passed; i++) {
        places[i] = passed_place(&serving->arena, i);
        if (!places[i])
            return err_memory(err, "the listening sockets", sizeof *places);
    }
    serving->places = places;
    serving->n_places = n_passed;
    return true;
}

/* Where clients find this place; `url`: as curl takes it. */
static const char *shown(struct serving *serving, int i, bool url)
{
    struct arena *arena = &serving->arena;
    struct address address;
    const char *place = serving->places[i];
    int port = server_port(serving->server, i);
    if (port && address_read(listen_passed(place) ? "127.0.0.1:0" : place, port, &address, NULL))
        return arena_printf(arena, "http%s://%s", server_speaks_tls(serving->server, i) ? "s" : "", address.text);
    if (url && strncmp(place, "unix:", 5) == 0)
        return arena_printf(arena, "--unix-socket '%.*s' http://localhost", (int)strcspn(place + 5, "+"), place + 5);
    return place;
}

/* The first that is not for operators alone. */
static int first_for_all(const struct serving *serving)
{
    struct place place;
    struct percept_err err;
    for (int i = 0; i < serving->n_places; i++)
        if (place_read(serving->places[i], &place, &err) && !place.ops)
            return i;
    return 0;
}

static bool name_places(struct serving *serving, struct percept_err *err)
{
    serving->where = shown(serving, 0, false);
    serving->url = shown(serving, first_for_all(serving), true);
    for (int i = 1; i < serving->n_places && serving->where; i++) {
        const char *place = shown(serving, i, false);
        serving->where = place ? arena_printf(&serving->arena, "%s, %s", serving->where, place) : NULL;
    }
    return (serving->where && serving->url) || err_memory(err, "the names of places", 1);
}

static bool open_doors(struct serving *serving, struct percept_err *err)
{
    if (!choose_places(serving, err))
        return false;
    serving->server = server_new(serving->loop, serving->catalog, serving->repository, &serving->settings,
                                 serving->places, serving->n_places, err);
    if (serving->server)
        return name_places(serving, err);
    explain_address(err);
    return false;
}

static bool watch_signals(struct serving *serving, struct percept_err *err)
{
    serving->attached = has_terminal();
    if (uv_async_init(loop_uv(serving->loop), &bell, on_bell) == 0) {
        bell.data = serving;
        catch_signals(on_signal);
    }
    serving->watchdog_ns = sd_watchdog_us() * 1000 / 2;
    serving->watchdog = loop_timer_new(serving->loop, on_watchdog, serving);
    serving->grace = loop_timer_new(serving->loop, on_grace_over, serving);
    if (serving->watchdog && serving->watchdog_ns > 0)
        loop_timer_start(serving->watchdog, serving->watchdog_ns);
    return (bell.data && serving->watchdog && serving->grace) ||
           err_set(err, ERR_SYSTEM, "cannot make timers: memory or file descriptors are short");
}

static void stop_loop(void *loop)
{
    loop_stop(loop);
}

/* After a start that failed half-way: loads that have begun are waited for. */
static void give_up(struct serving *serving)
{
    serving->n_asked++;
    server_free(serving->server);
    serving->server = NULL;
    if (!serving->catalog)
        return;
    catalog_drain(serving->catalog, stop_loop, serving->loop);
    loop_wake(serving->loop);
    loop_run(serving->loop);
}

static void tear_down(struct serving *serving)
{
    if (!serving->loop)
        return;
    if (bell.data) {
        catch_signals(SIG_IGN);
        uv_close((uv_handle_t *)&bell, NULL);
    }
    loop_off_turn(serving->loop, serving);
    loop_timer_free(serving->watchdog);
    loop_timer_free(serving->grace);
    cores_watch_end(&serving->cores);
    watcher_free(serving->watcher);
    catalog_free(serving->catalog);
    repository_free(serving->repository);
    loop_free(serving->loop);
    arena_free(&serving->arena);
}

static bool watch_models(struct serving *serving, struct percept_err *err)
{
    if (!serving->options->watch)
        return true;
    serving->watcher = watcher_new(serving->loop, serving->repository, serving->options->watch_interval_ms, err);
    return serving->watcher;
}

static bool start(struct serving *serving, struct percept_err *err)
{
    if (!level_exists(serving->settings.level, err) || !paths_exist(serving->options, err) || !set_up(serving, err) ||
        !open_doors(serving, err) || !watch_signals(serving, err))
        return false;
    catalog_on_change(serving->catalog, on_change, serving);
    loop_on_turn(serving->loop, on_turn, serving);
    loop_wake(serving->loop);
    return add_models(serving, err) && watch_models(serving, err);
}

int serve_command(const struct options *options)
{
    struct percept_err err;
    struct serving serving = {.options = options, .settings = settings_of(options)};
    serving.terminal = isatty(STDERR_FILENO) && options->log_format == 0;
    set_log(&serving);
    signal(SIGPIPE, SIG_IGN);
    if (start(&serving, &err)) {
        loop_run(serving.loop);
    } else {
        serving.status = command_fail(&err);
        sd_tell_status("", err.text);
        give_up(&serving);
    }
    tear_down(&serving);
    percept_clean_regions(serving.settings.region_prefix, serving.settings.keep_age_ms / 1000);
    return serving.status;
}

/* --- perceptd --check-config -------------------------------------------------------------------------------------- */

static bool places_are_places(const struct options_list *listen, struct percept_err *err)
{
    struct address address;
    struct place place;
    int fd;
    for (int i = 0; i < listen->n; i++)
        if (!place_read(listen->at[i], &place, err) ||
            (listen_passed(place.address) ? !listen_descriptor(place.address, &fd, err)
                                          : !address_read(place.address, 0, &address, err)))
            return false;
    return true;
}

static bool check(struct serving *serving, struct percept_err *err)
{
    if (!level_exists(serving->settings.level, err) || !places_are_places(&serving->options->listen, err) ||
        !site_check(&serving->settings, err))
        return false;
    return paths_exist(serving->options, err) && set_up(serving, err) && add_models(serving, err);
}

static void on_checked(void *user)
{
    struct serving *serving = user;
    if (!catalog_loading(serving->catalog))
        loop_stop(serving->loop);
}

/* Models are opened as they would be, in memory of our own; what fails has its line in the log. */
int serve_check(const struct options *options)
{
    struct percept_err err;
    struct serving serving = {.options = options, .settings = settings_of(options)};
    serving.settings.private_regions = true;
    serving.settings.workers = 1;
    log_setup(LOG_WARN_LEVEL, options->log_format == 1);
    if (check(&serving, &err)) {
        loop_on_turn(serving.loop, on_checked, &serving);
        loop_wake(serving.loop);
        loop_run(serving.loop);
        struct tally tally = count(serving.catalog);
        serving.status = tally.failed || tally.left_out ? EXIT_FAILURE : EXIT_SUCCESS;
    } else {
        serving.status = command_fail(&err);
        give_up(&serving);
    }
    tear_down(&serving);
    if (serving.status == EXIT_SUCCESS)
        puts("configuration is good");
    return serving.status;
}
