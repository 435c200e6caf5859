/*
 * page.c - GET /: a sign of life to programs, and to a browser the page on which models are tried. The page is a few
 * files of HTML, CSS and JavaScript (http/page/), compiled in as they are; what it shows it asks the server for as any
 * client does, by paths relative to its own, so that it works under any base path and on a host without a network.
 *
 * The files hold nothing of the models, so they are shown without an API key: the page asks for one when the server
 * does. Its Content-Security-Policy allows what comes from the server alone, and no script or style inside the HTML.
 * They have one ETag, the digest of all of them when they were compiled, and are asked for again each time: a new
 * binary is a new page.
 *
 * Thread: the loop. Nothing here is mutable or waits.
 */
#include "http/exchange.h"
#include "http/routes.h"

/* Assembler's symbols, of this file alone. */
#define FILE_BYTES(symbol, name)                                                                                       \
    __asm__(".pushsection .rodata.page_" #symbol ",\"a\"\n"                                                            \
            "page_" #symbol ":\n"                                                                                      \
            ".incbin \"src/http/page/" name "\"\n"                                                                     \
            "page_" #symbol "_end:\n"                                                                                  \
            ".popsection\n");                                                                                          \
    extern const uint8_t page_##symbol[] __attribute__((visibility("hidden")));                                        \
    extern const uint8_t page_##symbol##_end[] __attribute__((visibility("hidden")))

#define FILES(F)                                                                                                       \
    F(index, "index.html", "text/html; charset=utf-8")                                                                 \
    F(style, "page.css", "text/css; charset=utf-8")                                                                    \
    F(page, "page.js", "text/javascript; charset=utf-8")                                                               \
    F(ask, "ask.js", "text/javascript; charset=utf-8")                                                                 \
    F(media, "media.js", "text/javascript; charset=utf-8")                                                             \
    F(answers, "answers.js", "text/javascript; charset=utf-8")

#define BYTES_OF(symbol, name, type) FILE_BYTES(symbol, name);
FILES(BYTES_OF)

/* The first is what / gives; the others are told by their names. */
static const struct page_file {
    const char *name, *type;
    const uint8_t *at, *end;
} files[] = {
#define ROW(symbol, name, type) {name, type, page_##symbol, page_##symbol##_end},
    FILES(ROW)
#undef ROW
};

static const char etag[] = "\"" PAGE_DIGEST "\"";

static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
                             "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                             "frame-ancestors 'none'";

/* If-None-Match is a list of tags, or *. */
static bool has_it_already(struct bytes tags)
{
    return tags.at && (bytes_is(tags, "*") || memmem(tags.at, bytes_size(tags), etag, sizeof etag - 1));
}

static void reply_file(struct exchange *exchange, const struct page_file *file)
{
    exchange_add_header(exchange, "ETag", etag);
    exchange_add_header(exchange, "Cache-Control", "no-cache");
    exchange_add_header(exchange, "Content-Security-Policy", policy);
    exchange_add_header(exchange, "X-Content-Type-Options", "nosniff");
    exchange_add_header(exchange, "Referrer-Policy", "no-referrer");
    if (has_it_already(exchange->headers.if_none_match))
        exchange_reply(exchange, 304, NULL, (struct bytes){0});
    else
        exchange_reply(exchange, 200, file->type, (struct bytes){file->at, file->end});
}

static bool wants_html(struct bytes accept)
{
    return accept.at && memmem(accept.at, bytes_size(accept), "text/html", 9) != NULL;
}

/* Paths that are relative to the page's need the slash at its end. */
static bool lacks_slash(const struct exchange *exchange)
{
    size_t n = strcspn(exchange->target, "?");
    return *exchange->base && n && exchange->target[n - 1] != '/';
}

void page_root(struct exchange *exchange)
{
    exchange_add_header(exchange, "Vary", "Accept");
    if (exchange->site->settings->no_page || !wants_html(exchange->headers.accept))
        exchange_reply(exchange, 200, "application/json", bytes_of_text("{\"status\":\"alive\"}\n"));
    else if (lacks_slash(exchange)) {
        exchange_add_header(exchange, "Location", arena_printf(&exchange->arena, "%s/", exchange->base));
        exchange_reply(exchange, 308, NULL, (struct bytes){0});
    } else
        reply_file(exchange, &files[0]);
}

void page_asset(struct exchange *exchange)
{
    for (size_t i = 1; !exchange->site->settings->no_page && i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].name, exchange->item) == 0) {
            reply_file(exchange, &files[i]);
            return;
        }
    exchange_refuse(exchange, ERR_NOT_FOUND, "Not Found: the page has no such file");
}
