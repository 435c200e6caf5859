/*
 * page.c - GET /: a sign of life to programs, and to a browser the list of models with their state,
 * what they take, and a command that uses each. One page of plain HTML without script, style sheet
 * or picture from anywhere, so that it works on a host without a network.
 *
 * Everything that comes from a model or a request is quoted by text_html. The commands name the
 * host that the browser asked for, if that is made of a host's characters; else 127.0.0.1. Thread:
 * the loop.
 */
#include "http/exchange.h"
#include "http/routes.h"
#include "http/slices.h"
#include "http/v2_meta.h"
#include "serve/codec.h"
#include "serve/scan.h"

#include <inttypes.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, "
    "initial-scale=1\">\n<title>perceptd</title>\n"
    "<style>\nbody { font: 16px/1.5 sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em; "
    "}\n"
    "h2 { margin-bottom: 0; }\n"
    "pre { background: #f2f2f2; padding: .7em; overflow-x: auto; white-space: pre-wrap; }\n"
    "@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } "
    "pre { background: #222; } a { color: #8bf; } }\n</style>\n</head>\n<body>\n";

static bool host_is_plain(struct bytes host)
{
    for (const uint8_t *at = host.at; at < host.end; at++)
        if (!((*at >= '0' && *at <= '9') || ((*at | 32) >= 'a' && (*at | 32) <= 'z') || *at == '.' || *at == ':' ||
              *at == '-' || *at == '[' || *at == ']'))
            return false;
    return host.at < host.end && bytes_size(host) <= 200;
}

static void add_address(struct text *text, const struct exchange *exchange, const struct served *served)
{
    struct bytes host = exchange->headers.host;
    text_add(text, "http://");
    if (host_is_plain(host))
        text_bytes(text, host.at, bytes_size(host));
    else
        text_printf(text, "127.0.0.1:%d", exchange->site->port);
    text_printf(text, "%s/v2/models/%s/versions/%" PRId64 "/infer", exchange->base, served->name, served->version);
}

static void add_shape(struct text *text, const struct percept_io *io, const char *free_dim)
{
    text_add(text, "[");
    for (int i = 0; i < io->rank; i++) {
        text_add(text, i ? "," : "");
        if (io->dims[i] < 0)
            text_add(text, free_dim);
        else
            text_printf(text, "%" PRId64, io->dims[i]);
    }
    text_add(text, "]");
}

/* What a shell reads between single quotes: an apostrophe, which only a JSON string can hold, is
 * written as an escape. */
static void add_in_quotes(struct text *text, const char *json)
{
    for (size_t n; *json; json += n) {
        n = strcspn(json, "'");
        text_bytes(text, json, n);
        if (json[n] == '\'') {
            text_add(text, "\\u0027");
            n++;
        }
    }
    text_bytes(text, "", 1);
}

/* The JSON of a request, with data left to the reader, between single quotes of a shell. */
static void add_json_request(struct text *text, const struct served *served)
{
    int n;
    const struct percept_io *inputs = served_inputs(served, &n);
    struct text json = {.arena = text->arena}, quoted = {.arena = text->arena};
    text_add(&json, "{\"inputs\":[");
    for (int i = 0; i < n; i++) {
        text_add(&json, i ? ",{\"name\":" : "{\"name\":");
        text_json(&json, inputs[i].name);
        text_printf(&json, ",\"datatype\":\"%s\",\"shape\":", v2_meta_datatype(inputs[i].dtype));
        add_shape(&json, &inputs[i], "1");
        text_add(&json, ",\"data\":[...]}");
    }
    text_add(&json, "]}");
    text_bytes(&json, "", 1);
    if (!json.failed)
        add_in_quotes(&quoted, json.at);
    text->failed |= json.failed || quoted.failed;
    if (!text->failed)
        text_html(text, quoted.at);
}

static void add_command(struct text *text, const struct exchange *exchange, const struct served *served)
{
    enum manifest_kind kind = codec_kind(served);
    text_add(text, "<pre>curl ");
    if (kind == MANIFEST_IMAGE)
        text_add(text, "-H 'Content-Type: image/png' --data-binary @picture.png ");
    else if (kind == MANIFEST_AUDIO)
        text_add(text, "-H 'Content-Type: audio/wav' --data-binary @sound.wav ");
    else if (kind == MANIFEST_TEXT)
        text_add(text, "-H 'Content-Type: text/plain' --data 'some words' ");
    else {
        text_add(text, "--data '");
        add_json_request(text, served);
        text_add(text, "' ");
    }
    add_address(text, exchange, served);
    text_add(text, "</pre>\n");
}

/* What may be posted instead of a tensor. */
static const char *medium_of(const struct served *served)
{
    enum manifest_kind kind = codec_kind(served);
    return kind == MANIFEST_IMAGE   ? ", or a picture: PNG, JPEG or WebP"
           : kind == MANIFEST_AUDIO ? ", or a sound: WAV, FLAC, Ogg or MP3"
           : kind == MANIFEST_TEXT  ? ", or a text"
                                    : "";
}

static void add_ios(struct text *text, const char *title, const struct percept_io *ios, int n, const char *more)
{
    text_printf(text, "<li>%s:", title);
    for (int i = 0; i < n; i++) {
        text_add(text, i ? ", <b>" : " <b>");
        text_html(text, ios[i].name);
        text_printf(text, "</b> %s ", v2_meta_datatype(ios[i].dtype));
        add_shape(text, &ios[i], "?");
    }
    text_printf(text, "%s</li>\n", more);
}

static void add_model(struct text *text, const struct exchange *exchange, const struct served *served)
{
    text_add(text, "<h2>");
    text_html(text, served->name);
    text_printf(text, "</h2>\n<ul>\n<li>version %" PRId64 ", %s</li>\n", served->version,
                catalog_state_name(served->state));
    if (served->state == SERVED_FAILED) {
        text_add(text, "<li>");
        text_html(text, served->reason);
        text_add(text, "</li>\n");
    }
    if (served->manifest && served->manifest->description[0]) {
        text_add(text, "<li>");
        text_html(text, served->manifest->description);
        text_add(text, "</li>\n");
    }
    if (served->state != SERVED_READY) {
        text_add(text, "</ul>\n");
        return;
    }
    int n_inputs, n_outputs;
    const struct percept_io *inputs = served_inputs(served, &n_inputs);
    const struct percept_io *outputs = served_outputs(served, &n_outputs);
    add_ios(text, "takes", inputs, n_inputs, medium_of(served));
    add_ios(text, "gives", outputs, n_outputs, "");
    text_add(text, "</ul>\n");
    add_command(text, exchange, served);
}

static void add_omitted(struct text *text, struct catalog *catalog)
{
    const struct omitted *omitted = catalog_omitted(catalog);
    if (!omitted)
        return;
    text_add(text, "<h2>Left out</h2>\n<ul>\n");
    for (; omitted; omitted = omitted->next) {
        text_add(text, "<li>");
        text_html(text, omitted->name);
        text_add(text, ": ");
        text_html(text, omitted->why);
        text_add(text, "</li>\n");
    }
    text_add(text, "</ul>\n");
}

static bool wants_html(struct bytes accept)
{
    return accept.at && memmem(accept.at, bytes_size(accept), "text/html", 9) != NULL;
}

static void add_head(struct text *text, const struct exchange *exchange)
{
    text_add(text, head);
    text_printf(text, "<h1>perceptd %s</h1>\n", percept_version());
    if (catalog_first(exchange->site->catalog))
        text_printf(text,
                    "<p>Models served here; <a href=\"%s/metrics\">metrics</a>, <a "
                    "href=\"%s/v2/health/ready\">readiness</a>.</p>\n",
                    exchange->base, exchange->base);
    else
        text_add(text, "<p>No models are served here.</p>\n");
}

static bool write_row(struct slices *slices, const struct served *served)
{
    if (served)
        add_model(&slices->text, slices->exchange, served);
    else
        add_head(&slices->text, slices->exchange);
    return true;
}

static void end(struct slices *slices)
{
    add_omitted(&slices->text, slices->exchange->site->catalog);
    text_add(&slices->text, "</body>\n</html>\n");
    exchange_reply_text(slices->exchange, 200, "text/html; charset=utf-8", &slices->text);
}

void page_root(struct exchange *exchange)
{
    exchange_add_header(exchange, "Vary", "Accept");
    if (wants_html(exchange->headers.accept))
        slices_start(exchange, &(struct slices){.n_rows = 1, .write = write_row, .end = end});
    else
        exchange_reply(exchange, 200, "application/json", bytes_of_text("{\"status\":\"alive\"}\n"));
}
