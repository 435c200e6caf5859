/*
 * exchange.c - judging, collecting, answering. The story of a request, top to bottom.
 *
 * A request that is refused is answered in one of two ways. Where the framing is doubtful, a key is
 * missing or the body would be absurdly long, the reply goes out at once and the connection ends.
 * In all other cases the rest of the body is read and thrown away first (up to DRAIN times the
 * limit), because a client that is still sending when the connection is closed gets a reset and
 * never sees the reply.
 *
 * Bodies are collected in an arena of their own: reserved once when the length is known (pages
 * nobody wrote cost nothing), doubled otherwise, and given up as soon as the request is refused.
 * All bodies together may take BODIES times the limit, so that many large uploads cannot eat the
 * machine. Memory of large requests leaves in parts, one a turn of the loop, so that nobody waits while the kernel
 * takes hundreds of megabytes back.
 *
 * Thread: the loop. This file and server.c are the only ones that know struct MHD_Connection.
 */
#include "http/exchange.h"

#include "base/budget.h"
#include "base/log.h"
#include "http/routes.h"
#include "serve/frames.h"
#include "http/websocket.h"
#include "serve/lifecycle.h"
#include "serve/loop.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define DRAIN 8
#define STREAM_BLOCK 4096 /* bytes at a time */
#define BODIES 16
#define SPARE_MAX 256
#define KEEP_BYTES ((size_t)256 << 10)  /* a spare exchange keeps no more memory than this */
#define KEEP_BUDGETED ((size_t)1 << 16) /* where all that is kept is paid for */
#define PIECE_BYTES ((size_t)1 << 20)   /* room for what has not come is taken four times what has, at least this */
#define LARGE_BYTES ((size_t)1 << 20)   /* freed in parts of this size, a tenth of a millisecond each */
#define FIRST_CAPACITY ((size_t)4096)
#define REFUSALS 10 /* lines in the log, in a second */
#define SECOND_NS 1000000000

static const char short_of_memory[] = "{\"error\":\"memory is short\"}\n";

struct exchange *exchange_new(struct site *site, const char *target)
{
    struct exchange *exchange = site->spare;
    struct arena arena = {0};
    struct arena body_arena = {0};
    if (exchange) {
        site->spare = exchange->next;
        site->n_spare--;
        arena = exchange->arena;
        body_arena = exchange->body_arena;
    } else {
        exchange = arena_buffer(sizeof *exchange);
        if (!exchange)
            return NULL;
    }
    *exchange = (struct exchange){.site = site,
                                  .arena = arena,
                                  .body_arena = body_arena,
                                  .method = "",
                                  .path = "",
                                  .base = "",
                                  .name = "",
                                  .item = "",
                                  .uid = -1,
                                  .arrived_ns = loop_now_ns()};
    exchange->arena.budget = NULL; /* until it is a job's: whoever asks for health or metrics takes little */
    exchange->body_arena.budget = site->settings->budget;
    ids_make(&site->ids, exchange->made_id);
    exchange->id = exchange->made_id;
    exchange->target = arena_text(&exchange->arena, target, strlen(target));
    if (!exchange->target) {
        exchange_free(exchange);
        return NULL;
    }
    return exchange;
}

/* A large one leaves in parts, where there is room to remember it. */
void exchange_release(struct site *site, struct arena *arena)
{
    if (arena->used_bytes > LARGE_BYTES && site->n_leaving < EXCHANGE_LEAVING) {
        site->leaving[site->n_leaving++] = *arena;
        arena->blocks = NULL;
    }
    arena_free(arena);
}

bool exchange_free_part(struct site *site)
{
    if (site->n_leaving && arena_free_part(&site->leaving[site->n_leaving - 1], LARGE_BYTES))
        site->n_leaving--;
    return site->n_leaving == 0;
}

static size_t kept_bytes(const struct site *site)
{
    return site->settings->budget ? KEEP_BUDGETED : KEEP_BYTES;
}

static void drop_body(struct exchange *exchange)
{
    exchange->site->body_bytes -= exchange->body_bytes;
    exchange->body = NULL;
    exchange->body_bytes = exchange->body_capacity = 0;
    if (exchange->body_arena.used_bytes > kept_bytes(exchange->site))
        exchange_release(exchange->site, &exchange->body_arena);
    else
        arena_reset(&exchange->body_arena);
}

void exchange_free(struct exchange *exchange)
{
    struct site *site = exchange->site;
    if (exchange->taker)
        exchange->taker->leave(exchange);
    websocket_free(exchange->socket);
    exchange->socket = NULL;
    site->turnover_bytes += exchange->arena.used_bytes + exchange->body_arena.used_bytes;
    drop_body(exchange);
    if (site->n_spare >= SPARE_MAX) {
        exchange_release(site, &exchange->arena);
        arena_free(&exchange->body_arena);
        arena_buffer_free(exchange);
        return;
    }
    if (exchange->arena.used_bytes > kept_bytes(site))
        exchange_release(site, &exchange->arena);
    else
        arena_reset(&exchange->arena);
    exchange->next = site->spare;
    site->spare = exchange;
    site->n_spare++;
}

void exchange_free_spare(struct site *site)
{
    while (site->spare) {
        struct exchange *exchange = site->spare;
        site->spare = exchange->next;
        arena_free(&exchange->arena);
        arena_free(&exchange->body_arena);
        arena_buffer_free(exchange);
    }
    site->n_spare = 0;
    while (site->n_leaving)
        arena_free(&site->leaving[--site->n_leaving]);
}

/* Replies. */

static bool wakes(struct exchange *exchange)
{
    bool waiting = exchange->state == EXCHANGE_WAITING;
    exchange->state = EXCHANGE_ANSWERED;
    return waiting;
}

void exchange_reply(struct exchange *exchange, int status, const char *type, struct bytes body)
{
    exchange->status = status;
    exchange->type = type;
    exchange->reply = body;
    if (status == 503)
        exchange_add_header(exchange, "Retry-After",
                            exchange->retry_s > 1 ? arena_printf(&exchange->arena, "%" PRId64, exchange->retry_s)
                                                  : "1");
    if (!wakes(exchange) || !exchange->mhd)
        return;
    MHD_resume_connection(exchange->mhd);
    exchange->site->resumed(exchange->site);
}

void exchange_reply_text(struct exchange *exchange, int status, const char *type, struct text *text)
{
    if (text->n_bytes && text->at[text->n_bytes - 1] != '\n')
        text_add(text, "\n");
    if (text->failed)
        exchange_reply(exchange, err_status(ERR_MEMORY), "application/json", bytes_of_text(short_of_memory));
    else
        exchange_reply(exchange, status, type, bytes_of(text->at, text->n_bytes));
}

/* --- streams --- */

void exchange_stream(struct exchange *exchange, const char *type)
{
    exchange->status = 200;
    exchange->type = type;
    exchange->streaming = true;
    exchange->stream.arena = &exchange->arena;
    if (!wakes(exchange) || !exchange->mhd)
        return;
    MHD_resume_connection(exchange->mhd);
    exchange->site->resumed(exchange->site);
}

void exchange_stream_on(struct exchange *exchange)
{
    if (!exchange->stream_held || !exchange->mhd)
        return;
    exchange->stream_held = false;
    exchange->site->held(exchange, false);
    MHD_resume_connection(exchange->mhd);
    exchange->site->resumed(exchange->site);
}

void exchange_stream_end(struct exchange *exchange)
{
    exchange->stream_ended = true;
    if (exchange->left)
        exchange_free(exchange);
    else
        exchange_stream_on(exchange);
}

void exchange_complete(struct exchange *exchange)
{
    if (!exchange->streaming || exchange->stream_ended) {
        exchange_free(exchange);
        return;
    }
    exchange->left = true;
    exchange->mhd = NULL;
    exchange->connection = NULL;
    if (exchange->give_up)
        exchange->give_up(exchange);
    else
        lifecycle_cancel(&exchange->job);
}

/* What there is of it; microhttpd holds still where there is nothing. */
static ssize_t read_stream(void *user, uint64_t position, char *to, size_t room)
{
    struct exchange *exchange = user;
    struct text *stream = &exchange->stream;
    size_t n = stream->n_bytes - exchange->stream_sent;
    (void)position;
    if (stream->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = n < room ? n : room;
    if (n) {
        memcpy(to, stream->at + exchange->stream_sent, n);
        exchange->stream_sent += n;
        exchange->streamed_bytes += n;
        if (exchange->stream_sent == stream->n_bytes)
            exchange->stream_sent = stream->n_bytes = 0;
        return (ssize_t)n;
    }
    if (exchange->stream_ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    exchange->stream_held = true;
    exchange->site->held(exchange, true);
    MHD_suspend_connection(exchange->mhd);
    return 0;
}

/* --- WebSockets --- */

void exchange_upgrade(struct exchange *exchange, struct websocket *socket, const char *accept, const char *protocol)
{
    exchange->socket = socket;
    exchange->status = 101;
    exchange->state = EXCHANGE_ANSWERED;
    exchange_add_header(exchange, "Upgrade", "websocket");
    exchange_add_header(exchange, "Sec-WebSocket-Accept", arena_text(&exchange->arena, accept, strlen(accept)));
    if (protocol)
        exchange_add_header(exchange, "Sec-WebSocket-Protocol", protocol);
}

static void on_upgrade(void *user, struct MHD_Connection *mhd, void *context, const char *early, size_t n_early, int fd,
                       struct MHD_UpgradeResponseHandle *handle)
{
    struct exchange *exchange = user;
    (void)mhd, (void)context;
    exchange->site->upgraded(exchange, fd, bytes_of(early, n_early), handle);
}

void exchange_close_socket(void *handle)
{
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

static bool our_fault(const struct percept_err *err)
{
    return err_status(err->code) >= 500 && err->code != ERR_UNAVAILABLE && err->code != ERR_TIMEOUT &&
           err->code != ERR_UNSUPPORTED;
}

/* The clock is the arrival of requests: good enough to tell a flood from a mistake. */
static bool has_line(struct site *site, int64_t now_ns)
{
    if (!site->refusals_ns || now_ns - site->refusals_ns >= SECOND_NS) {
        site->refusals_ns = now_ns;
        site->n_refusals = 0;
    }
    if (site->n_refusals == REFUSALS) {
        site->n_unlogged++;
        return false;
    }
    site->n_refusals++;
    return true;
}

static void log_refusal(struct exchange *exchange, int status, const char *why)
{
    struct site *site = exchange->site;
    if (!has_line(site, exchange->arrived_ns))
        return;
    char code[16], unlogged[16];
    snprintf(code, sizeof code, "%d", status);
    snprintf(unlogged, sizeof unlogged, "%d", site->n_unlogged);
    log_info("request refused", "#status", code, "method", exchange->method, "path", exchange->path, "why", why, "id",
             exchange->id, exchange->trace ? "trace" : "", exchange->trace ? exchange->trace : "",
             site->n_unlogged ? "#unlogged" : "", unlogged, NULL);
    site->n_unlogged = 0;
}

/* V1's servers have words of their own for what took too long, and too much. */
static int status_of(const struct exchange *exchange, const struct percept_err *err)
{
    if (exchange->route && exchange->route->flags & ROUTE_V1) {
        if (err->code == ERR_TIMEOUT)
            return 504;
        if (err->code == ERR_MEMORY)
            return 429;
    }
    return err_status(err->code);
}

void exchange_error(struct exchange *exchange, const struct percept_err *err)
{
    int status = status_of(exchange, err);
    if (our_fault(err))
        log_error("request failed", "path", exchange->path, "why", err->text, "id", exchange->id,
                  exchange->trace ? "trace" : "", exchange->trace ? exchange->trace : "", NULL);
    else if (err->code != ERR_CANCELLED)
        log_refusal(exchange, status, err->text);
    struct text text = {.arena = &exchange->arena};
    text_add(&text, "{\"error\":");
    text_json(&text, err->text);
    text_add(&text, "}");
    exchange_reply_text(exchange, status, "application/json", &text);
}

void exchange_refuse(struct exchange *exchange, enum err_code code, const char *format, ...)
{
    struct percept_err err = {.code = (int)code};
    va_list args;
    va_start(args, format);
    vsnprintf(err.text, sizeof err.text, format, args);
    va_end(args);
    exchange_error(exchange, &err);
}

void exchange_add_header(struct exchange *exchange, const char *name, const char *value)
{
    if (value && exchange->n_headers < EXCHANGE_HEADERS)
        exchange->reply_headers[exchange->n_headers++] = (struct exchange_reply_header){.name = name, .value = value};
}

void exchange_wait(struct exchange *exchange)
{
    exchange->state = EXCHANGE_WAITING;
}

void exchange_cancel(struct exchange *exchange)
{
    if (exchange->state != EXCHANGE_WAITING && !(exchange->streaming && !exchange->stream_ended))
        return;
    if (exchange->give_up)
        exchange->give_up(exchange);
    else if (exchange->control)
        repository_cancel(exchange->site->repository, exchange->control);
    else
        lifecycle_cancel(&exchange->job);
}

struct arena exchange_give_body(struct exchange *exchange, struct bytes *body)
{
    struct arena arena = exchange->body_arena;
    *body = exchange->body_bytes ? bytes_of(exchange->body, exchange->body_bytes) : (struct bytes){0};
    exchange->body_arena = (struct arena){0};
    drop_body(exchange);
    return arena;
}

/* Judging. */

static enum MHD_Result each_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_bytes,
                                   const char *value, size_t value_bytes)
{
    struct framing *framing = cls;
    (void)kind;
    framing_header(framing, bytes_of(name, name_bytes), bytes_of(value ? value : "", value_bytes));
    return MHD_YES;
}

void exchange_read_headers(struct exchange *exchange, const char *version)
{
    framing_start(&exchange->headers, version);
    MHD_get_connection_values_n(exchange->mhd, MHD_HEADER_KIND, each_header, &exchange->headers);
}

static bool begins(struct bytes text, const char *with)
{
    size_t n = strlen(with);
    return bytes_size(text) >= n && framing_same(bytes_of(text.at, n), with);
}

/* What cannot be kept is as if it had not come. */
static void take_ids(struct exchange *exchange)
{
    const struct framing *headers = &exchange->headers;
    struct arena *arena = &exchange->arena;
    if (ids_is_request(headers->request_id)) {
        const char *id = arena_text(arena, headers->request_id.at, bytes_size(headers->request_id));
        exchange->id = id ? id : exchange->made_id;
    }
    if (ids_is_trace(headers->trace))
        exchange->trace = arena_text(arena, headers->trace.at, bytes_size(headers->trace));
}

/* What the body is by its headers; what is not told is V2's JSON. The V2 words are Triton's. */
static const char *kind_of_body(const struct framing *headers)
{
    if (begins(headers->content_type, "image/"))
        return "picture";
    if (begins(headers->content_type, "text/"))
        return "text";
    if (headers->json_bytes.at || begins(headers->content_type, "application/octet-stream"))
        return "raw request";
    return "request JSON";
}

static void refuse_size(struct exchange *exchange, size_t n_bytes)
{
    exchange_refuse(exchange, ERR_TOO_LARGE,
                    "%s size of %zu bytes exceeds the maximum allowed input size of %zu bytes. "
                    "Use --max-body to increase the limit.",
                    kind_of_body(&exchange->headers), n_bytes, exchange->site->settings->max_body_bytes);
}

/* Would the body alone be more than all that requests may take? */
static bool exceeds_all(const struct exchange *exchange)
{
    const struct percept_budget *budget = exchange->site->settings->budget;
    return budget && exchange->headers.content_length > 0 &&
           (size_t)exchange->headers.content_length > budget->limit_bytes;
}

static void refuse_length(struct exchange *exchange, size_t n_bytes)
{
    exchange_refuse(exchange, ERR_TOO_LARGE,
                    "a body of %zu bytes is more than all requests may take, which is %zu (--memory-total)", n_bytes,
                    exchange->site->settings->budget->limit_bytes);
}

static size_t drain_limit(const struct exchange *exchange)
{
    size_t limit;
    return arena_multiply(exchange->site->settings->max_body_bytes, DRAIN, &limit) ? limit : SIZE_MAX;
}

/* Pages cannot set headers of a WebSocket, but its protocols: "perceptd, key.KEY". */
static struct bytes protocol_key(const struct exchange *exchange)
{
    static const char mark[] = "key.";
    const struct bytes list = exchange->headers.ws_protocol;
    const size_t n = sizeof mark - 1;
    for (const uint8_t *at = list.at; at && at + n < list.end; at++) {
        if (memcmp(at, mark, n) != 0 || (at > list.at && at[-1] != ' ' && at[-1] != ','))
            continue;
        const uint8_t *end = at += n;
        while (end < list.end && *end != ',' && *end != ' ')
            end++;
        return (struct bytes){at, end};
    }
    return (struct bytes){0};
}

/* The key that it shows; without bytes where it shows none. */
static struct bytes key_shown(const struct exchange *exchange)
{
    static const char scheme[] = "Bearer ";
    const size_t n = sizeof scheme - 1;
    struct bytes bearer = exchange->headers.authorization;
    if (bytes_size(bearer) > n && framing_same(bytes_of(bearer.at, n), scheme))
        return (struct bytes){bearer.at + n, bearer.end};
    return exchange->route && exchange->route->flags & ROUTE_SOCKET && !exchange->headers.api_key.at
               ? protocol_key(exchange)
               : exchange->headers.api_key;
}

/* Scopes of the key that it shows, of all where none is asked for; and whose it is. */
static unsigned scopes_shown(struct exchange *exchange)
{
    const struct keys *keys = &exchange->site->keys;
    const struct bytes key = key_shown(exchange);
    if (keys->n == 0)
        return KEYS_ALL;
    if (!key.at)
        return 0;
    exchange->owner = keys_owner(key);
    return keys_match(keys, key);
}

/* Takes the base path off, where it is there. */
static void take_base(struct exchange *exchange)
{
    const char *base = exchange->site->settings->base_path;
    const size_t n = base ? strlen(base) : 0;
    if (!n || strncmp(exchange->path, base, n) != 0 || (exchange->path[n] && exchange->path[n] != '/'))
        return;
    exchange->base = base;
    exchange->path = exchange->path[n] ? exchange->path + n : "/";
}

/* "*" is what OPTIONS asks about all of the server. */
static const char *path_of(struct exchange *exchange, struct percept_err *err)
{
    const bool all = strcmp(exchange->target, "*") == 0 && strcmp(exchange->method, "OPTIONS") == 0;
    return all ? "*" : framing_path(exchange->target, &exchange->arena, err);
}

/* What is wrong enough to end the connection without reading the body. */
static bool refused_early(struct exchange *exchange, struct percept_err *err)
{
    const struct framing *headers = &exchange->headers;
    if (!framing_end(&exchange->headers, err))
        exchange_error(exchange, err);
    else if (!(exchange->path = path_of(exchange, err))) {
        exchange->path = "";
        exchange_error(exchange, err);
    } else if (headers->content_length >= 0 && (uint64_t)headers->content_length > drain_limit(exchange) &&
               !frames_is_video(headers->content_type))
        refuse_size(exchange, (size_t)headers->content_length);
    exchange->early = exchange->state == EXCHANGE_ANSWERED;
    return exchange->early;
}

static void refuse_key(struct exchange *exchange, unsigned scopes)
{
    if (scopes) {
        const char *needed = keys_scope_name(exchange->route->scope);
        exchange_refuse(exchange, ERR_FORBIDDEN, "this API key is not for that: the scope '%s' is needed", needed);
        return;
    }
    exchange_add_header(exchange, "WWW-Authenticate", "Bearer realm=\"perceptd\"");
    exchange_refuse(exchange, ERR_UNAUTHORIZED,
                    "an API key is needed: send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'");
    exchange->early = true;
}

/* OPTIONS: what a path takes, and whether a page of another origin may ask it (Fetch standard, 3.2). Needs no key:
 * browsers send none. */
static void answer_options(struct exchange *exchange, const char *methods)
{
    const char *allow = arena_printf(&exchange->arena, "%s, OPTIONS", methods);
    exchange_add_header(exchange, "Allow", allow);
    if (exchange->origin) {
        exchange_add_header(exchange, "Access-Control-Allow-Methods", allow);
        exchange_add_header(exchange, "Access-Control-Allow-Headers", CORS_ALLOW_HEADERS);
        exchange_add_header(exchange, "Access-Control-Max-Age", CORS_MAX_AGE);
    }
    exchange_reply(exchange, 204, NULL, (struct bytes){0});
}

/* A door of its own for those who look after the server has nothing else. */
static bool is_elsewhere(const struct exchange *exchange)
{
    return exchange->ops && !(exchange->route && exchange->route->flags & ROUTE_VITAL);
}

static void refuse_route(struct exchange *exchange, const struct routes_found *found)
{
    if (is_elsewhere(exchange)) {
        exchange_refuse(
            exchange, ERR_NOT_FOUND,
            "Not Found: here are /v2/health/live, /v2/health/ready and /metrics; the rest is at another door");
    } else if (found->allow) {
        exchange_add_header(exchange, "Allow", found->allow);
        exchange_refuse(exchange, ERR_METHOD, "Method Not Allowed: this path takes %s", found->allow);
    } else if (found->err.code)
        exchange_error(exchange, &found->err);
    else
        exchange_refuse(exchange, ERR_NOT_FOUND,
                        "Not Found: there is no such path; GET /v2/models lists the models, and "
                        "/v2/models/NAME/infer asks one");
}

static bool coding_served(const struct exchange *exchange)
{
    enum coding coding = coding_find(exchange->headers.content_encoding);
    return coding == CODING_IDENTITY || (coding != CODING_UNKNOWN && exchange->route->flags & ROUTE_CODED);
}

static void refuse_encoding(struct exchange *exchange)
{
    bool coded = exchange->route->flags & ROUTE_CODED;
    exchange_add_header(exchange, "Accept-Encoding", coded ? CODING_NAMES : "identity");
    exchange_refuse(exchange, ERR_MEDIA_TYPE,
                    coded ? "Unsupported compression type: Content-Encoding may be gzip, deflate or identity, once"
                          : "Unsupported compression type: this path takes bodies that are not compressed");
}

static void refuse_crowd(struct exchange *exchange)
{
    exchange_refuse(exchange, ERR_UNAVAILABLE, "all connections are taken by requests under way; try again");
    exchange->early = true;
}

/* The version that has this name now. */
static bool find_label(struct exchange *exchange, const char *label, struct percept_err *err)
{
    const struct served *served = catalog_find_label(exchange->site->catalog, exchange->name, label, err);
    exchange->version = served ? served->version : 0;
    return served;
}

/* Whoever asks for what is not there shows some key first. */
static bool refused_key(struct exchange *exchange)
{
    const unsigned needed = exchange->route ? exchange->route->scope : KEYS_ALL;
    const unsigned scopes = needed ? scopes_shown(exchange) : KEYS_ALL;
    if (scopes & needed || !needed)
        return false;
    refuse_key(exchange, scopes);
    return true;
}

/* Of a body that is collected. */
static bool refused_length(struct exchange *exchange)
{
    const int64_t n_bytes = exchange->headers.content_length;
    if (n_bytes > 0 && (uint64_t)n_bytes > exchange->site->settings->max_body_bytes)
        refuse_size(exchange, (size_t)n_bytes);
    else if (exceeds_all(exchange))
        refuse_length(exchange, (size_t)n_bytes);
    exchange->early |= n_bytes > 0 && (uint64_t)n_bytes > drain_limit(exchange); /* of a video for another route */
    return exchange->state == EXCHANGE_ANSWERED;
}

static void judge_route(struct exchange *exchange, const struct routes_found *found)
{
    struct percept_err err = {0};
    if (!found->route || is_elsewhere(exchange))
        refuse_route(exchange, found);
    else if (found->route->flags & ROUTE_ADMIN && !exchange->site->settings->admin)
        exchange_refuse(exchange, ERR_FORBIDDEN,
                        "this endpoint changes the server; it is on when perceptd runs with --admin");
    else if (*found->label && !find_label(exchange, found->label, &err))
        exchange_error(exchange, &err);
    else if (!coding_served(exchange))
        refuse_encoding(exchange);
    else if (!v2_video_is(exchange) && refused_length(exchange))
        return;
    else if (exchange->crowded && !(found->route->flags & ROUTE_VITAL))
        refuse_crowd(exchange);
    else if (v2_video_is(exchange))
        v2_video_judge(exchange);
    else if (exchange->headers.expects_continue && found->route->judge)
        found->route->judge(exchange);
}

void exchange_judge(struct exchange *exchange, const char *method)
{
    struct percept_err err = {0};
    const struct framing *headers = &exchange->headers;
    exchange->state = EXCHANGE_BODY;
    exchange->method = method;
    take_ids(exchange);
    exchange->origin = cors_allowed(&exchange->site->cors, headers->origin);
    const bool options = strcmp(method, "OPTIONS") == 0;
    if (refused_early(exchange, &err))
        return;
    take_base(exchange);
    struct routes_found found = {0};
    if (options && strcmp(exchange->path, "*") == 0) {
        answer_options(exchange, "GET, HEAD, POST, PUT, DELETE");
        return;
    }
    routes_find(method, exchange->path, &exchange->arena, &found);
    exchange->route = found.route;
    exchange->name = found.name;
    exchange->item = found.item;
    exchange->version = found.version;
    if (options && found.allow)
        answer_options(exchange, found.allow);
    else if (refused_key(exchange))
        return;
    else
        judge_route(exchange, &found);
    if (exchange->state == EXCHANGE_ANSWERED && headers->expects_continue)
        exchange->early = true; /* it waits to be asked for the body: do not ask */
}

/* Collecting. */

/* All of a body whose length is known. Of a budget so much is not taken for what may never come. */
static size_t whole(const struct exchange *exchange, size_t n_bytes)
{
    const size_t length = (size_t)exchange->headers.content_length;
    const size_t piece = n_bytes < PIECE_BYTES / 4 ? PIECE_BYTES : n_bytes * 4;
    return exchange->body_arena.budget && piece < length ? piece : length;
}

static bool reserve(struct exchange *exchange, size_t n_bytes)
{
    if (n_bytes <= exchange->body_capacity)
        return true;
    size_t capacity = exchange->body_capacity * 2;
    if (capacity < FIRST_CAPACITY)
        capacity = FIRST_CAPACITY;
    if (capacity < n_bytes)
        capacity = n_bytes;
    if (exchange->headers.content_length > 0 && (size_t)exchange->headers.content_length >= n_bytes)
        capacity = whole(exchange, n_bytes);
    uint8_t *body = arena_grow(&exchange->body_arena, exchange->body, exchange->body_capacity, capacity);
    if (!body)
        return false;
    exchange->body = body;
    exchange->body_capacity = capacity;
    return true;
}

static void refuse_short(struct exchange *exchange, size_t refusals)
{
    const struct percept_budget *budget = exchange->body_arena.budget;
    if (budget_refusals() == refusals)
        exchange_refuse(exchange, ERR_MEMORY, "memory is short for a body of %zu bytes", exchange->received_bytes);
    else if (budget_refused_bytes() > budget->limit_bytes)
        refuse_length(exchange, exchange->received_bytes);
    else
        exchange_refuse(exchange, ERR_UNAVAILABLE,
                        "the requests under way take the %zu bytes of memory that there are for them "
                        "(--memory-total); try again",
                        budget->limit_bytes);
}

/* Would this piece be one too many? Then the request is answered. */
static bool refused_piece(struct exchange *exchange, size_t n_bytes)
{
    struct site *site = exchange->site;
    size_t limit = site->settings->max_body_bytes;
    const size_t refusals = budget_refusals();
    if (exchange->received_bytes > limit)
        refuse_size(exchange, exchange->received_bytes);
    else if (site->body_bytes / BODIES > limit)
        exchange_refuse(exchange, ERR_UNAVAILABLE, "the requests under way hold %zu bytes of bodies; try again",
                        site->body_bytes);
    else if (!reserve(exchange, exchange->body_bytes + n_bytes))
        refuse_short(exchange, refusals);
    else
        return false;
    drop_body(exchange);
    return true;
}

bool exchange_take(struct exchange *exchange, const void *data, size_t n_bytes)
{
    exchange->received_bytes += n_bytes;
    if (exchange->taker && exchange->state == EXCHANGE_BODY)
        return exchange->taker->take(exchange, bytes_of(data, n_bytes));
    if (exchange->received_bytes > drain_limit(exchange))
        return false;
    if (exchange->state != EXCHANGE_BODY || refused_piece(exchange, n_bytes))
        return true;
    memcpy(exchange->body + exchange->body_bytes, data, n_bytes);
    exchange->body_bytes += n_bytes;
    exchange->site->body_bytes += n_bytes;
    return true;
}

void exchange_handle(struct exchange *exchange)
{
    if (exchange->state == EXCHANGE_BODY)
        (exchange->taker ? exchange->taker->whole : exchange->route->handle)(exchange);
}

/* Sending. */

static struct MHD_Response *response_of(struct bytes body)
{
    return MHD_create_response_from_buffer(bytes_size(body), (void *)(uintptr_t)body.at, MHD_RESPMEM_PERSISTENT);
}

static bool add_origin(const struct exchange *exchange, struct MHD_Response *response)
{
    const char *origin = exchange->origin;
    return !origin ||
           (MHD_add_response_header(response, "Access-Control-Allow-Origin", origin) == MHD_YES &&
            MHD_add_response_header(response, "Access-Control-Expose-Headers", CORS_EXPOSE_HEADERS) == MHD_YES &&
            (*origin == '*' || MHD_add_response_header(response, "Vary", "Origin") == MHD_YES));
}

static bool add_headers(const struct exchange *exchange, struct MHD_Response *response)
{
    bool good = (!exchange->type || MHD_add_response_header(response, "Content-Type", exchange->type) == MHD_YES) &&
                add_origin(exchange, response) &&
                MHD_add_response_header(response, "X-Request-Id", exchange->id) == MHD_YES &&
                (!exchange->trace || MHD_add_response_header(response, "traceparent", exchange->trace) == MHD_YES);
    for (int i = 0; i < exchange->n_headers; i++)
        good = good && MHD_add_response_header(response, exchange->reply_headers[i].name,
                                               exchange->reply_headers[i].value) == MHD_YES;
    if (!exchange->socket && (exchange->early || exchange->crowded || exchange->site->draining))
        good = good && MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    return good;
}

bool exchange_make_last_word(struct site *site, struct percept_err *err)
{
    site->last_word = response_of(bytes_of_text(short_of_memory));
    if (site->last_word && MHD_add_response_header(site->last_word, "Content-Type", "application/json") == MHD_YES &&
        MHD_add_response_header(site->last_word, "Connection", "close") == MHD_YES)
        return true;
    return err_memory(err, "a reply", sizeof short_of_memory);
}

void exchange_free_last_word(struct site *site)
{
    if (site->last_word)
        MHD_destroy_response(site->last_word);
    site->last_word = NULL;
}

bool exchange_send_last_word(struct site *site, struct MHD_Connection *mhd)
{
    int status = err_status(ERR_MEMORY);
    bool sent = site->last_word && MHD_queue_response(mhd, (unsigned)status, site->last_word) == MHD_YES;
    site->statuses[status] += sent;
    return sent;
}

/* Of a request that microhttpd never saw; the connection ends. */
struct bytes exchange_written(struct exchange *exchange)
{
    struct text text = {.arena = &exchange->arena};
    char date[40] = "";
    time_t now = time(NULL);
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    text_printf(&text,
                "HTTP/1.1 %d Bad Request\r\nDate: %s\r\nContent-Type: %s\r\n"
                "X-Request-Id: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                exchange->status, date, exchange->type, exchange->id, bytes_size(exchange->reply));
    text_bytes(&text, exchange->reply.at, bytes_size(exchange->reply));
    exchange->site->statuses[exchange->status]++;
    return text.failed ? (struct bytes){0} : bytes_of(text.at, text.n_bytes);
}

bool exchange_send(struct exchange *exchange)
{
    struct MHD_Response *response =
        exchange->socket ? MHD_create_response_for_upgrade(on_upgrade, exchange)
        : exchange->streaming
            ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, exchange, NULL)
            : response_of(exchange->reply);
    bool whole = response && add_headers(exchange, response);
    bool sent = whole && MHD_queue_response(exchange->mhd, (unsigned)exchange->status, response) == MHD_YES;
    if (response)
        MHD_destroy_response(response);
    if (sent)
        exchange->site->statuses[exchange->status]++;
    return sent || (!whole && exchange_send_last_word(exchange->site, exchange->mhd));
}

void exchange_end(struct exchange *exchange, int64_t now_ns)
{
    if (exchange->readable_ns && exchange->status != 101 && exchange->route &&
        strcmp(exchange->route->method, "GET") == 0)
        pace_count(&exchange->site->lookups, now_ns - exchange->readable_ns);
}
