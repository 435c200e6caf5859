/*
 * framing.c - the checks of framing.h, one function per question.
 *
 * A header that decides where the body ends, or that we act upon, may stand there once. Names must
 * be tokens (a space before the colon makes other parsers see another header), values free of
 * control characters. What microhttpd makes of lines and lengths before we see them has been judged
 * by then (stream.c); what it hands over is judged again here, as it is what counts.
 *
 * Thread: any. Owns nothing. Does not decide about sizes: that is the exchange's.
 */
#include "http/framing.h"

#include "base/err.h"

#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool framing_same(struct bytes bytes, const char *text)
{
    size_t n = bytes_size(bytes);
    if (n != strlen(text))
        return false;
    for (size_t i = 0; i < n; i++)
        if (lower((char)bytes.at[i]) != lower(text[i]))
            return false;
    return true;
}

bool framing_number(struct bytes text, int64_t *value)
{
    size_t n = bytes_size(text);
    if (n == 0 || n > 18)
        return false;
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        sum = sum * 10 + (text.at[i] - '0');
    }
    *value = sum;
    return true;
}

static bool alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

static bool token(struct bytes name)
{
    for (const uint8_t *at = name.at; at < name.end; at++)
        if (!alphanumeric((char)*at) && (*at == 0 || !strchr("!#$%&'*+-.^_`|~", *at)))
            return false;
    return name.at < name.end;
}

static bool control_free(struct bytes value)
{
    for (const uint8_t *at = value.at; at < value.end; at++)
        if ((*at < 0x20 && *at != '\t') || *at == 0x7f)
            return false;
    return true;
}

static void fault(struct framing *framing, const char *sentence)
{
    if (!framing->fault)
        framing->fault = sentence;
}

void framing_start(struct framing *framing, const char *version)
{
    *framing = (struct framing){.http_1_1 = strcmp(version, "HTTP/1.0") != 0, .content_length = -1};
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        fault(framing, "the protocol's version must be HTTP/1.1 or HTTP/1.0");
}

/* Trailing blanks belong to the line, not to the value. */
static struct bytes trimmed(struct bytes value)
{
    while (value.at < value.end && (value.end[-1] == ' ' || value.end[-1] == '\t'))
        value.end--;
    while (value.at < value.end && (value.at[0] == ' ' || value.at[0] == '\t'))
        value.at++;
    return value;
}

static void take_length(struct framing *framing, struct bytes value)
{
    if (framing->content_length >= 0)
        fault(framing, "Content-Length is given twice");
    else if (!framing_number(value, &framing->content_length))
        fault(framing, "Content-Length must be a decimal number");
}

static void take_encoding(struct framing *framing, struct bytes value)
{
    if (framing->chunked)
        fault(framing, "Transfer-Encoding is given twice");
    else if (!framing_same(value, "chunked"))
        fault(framing, "Transfer-Encoding must be chunked");
    framing->chunked = true;
}

/* Headers that handlers ask for; where each is kept. */
static struct bytes *kept(struct framing *framing, struct bytes name, unsigned *bit)
{
    const struct {
        const char *name;
        struct bytes *to;
    } rows[] = {
        {"host", &framing->host},
        {"content-type", &framing->content_type},
        {"content-encoding", &framing->content_encoding},
        {"authorization", &framing->authorization},
        {"x-api-key", &framing->api_key},
        {"inference-header-content-length", &framing->json_bytes},
        {"x-request-timeout-ms", &framing->timeout_ms},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (framing_same(name, rows[i].name)) {
            *bit = 1u << i;
            return rows[i].to;
        }
    return NULL;
}

static void take_forwarded(struct framing *framing, struct bytes value)
{
    if (framing->n_forwarded == FRAMING_FORWARDED) {
        framing->n_forwarded--;
        memmove(framing->forwarded, framing->forwarded + 1, sizeof framing->forwarded - sizeof *framing->forwarded);
    }
    framing->forwarded[framing->n_forwarded++] = value;
}

/* Headers that decide about nothing, and may come several times: the first counts. */
static void take_hint(struct framing *framing, struct bytes name, struct bytes value)
{
    const struct {
        const char *name;
        struct bytes *to;
    } rows[] = {
        {"accept", &framing->accept},
        {"accept-encoding", &framing->accept_encoding},
        {"x-request-id", &framing->request_id},
        {"traceparent", &framing->trace},
        {"origin", &framing->origin},
        {"if-none-match", &framing->if_none_match},
        {"connection", &framing->connection},
        {"upgrade", &framing->upgrade},
        {"sec-websocket-key", &framing->ws_key},
        {"sec-websocket-version", &framing->ws_version},
        {"sec-websocket-protocol", &framing->ws_protocol},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (framing_same(name, rows[i].name) && !rows[i].to->at)
            *rows[i].to = value;
}

void framing_header(struct framing *framing, struct bytes name, struct bytes value)
{
    if (!token(name))
        fault(framing, "a header's name holds a character that names may not have");
    if (!control_free(value))
        fault(framing, "a header's value holds a control character");
    value = trimmed(value);
    unsigned bit = 0;
    struct bytes *to = kept(framing, name, &bit);
    if (to && framing->seen & bit)
        fault(framing, "a header that may be given once is given twice");
    else if (to)
        *to = value;
    framing->seen |= bit;
    if (framing_same(name, "content-length"))
        take_length(framing, value);
    else if (framing_same(name, "transfer-encoding"))
        take_encoding(framing, value);
    else if (framing_same(name, "expect"))
        framing->expects_continue = framing_same(value, "100-continue");
    else if (framing_same(name, "x-forwarded-for"))
        take_forwarded(framing, value);
    else
        take_hint(framing, name, value);
}

bool framing_end(struct framing *framing, struct percept_err *err)
{
    if (framing->chunked && framing->content_length >= 0)
        fault(framing, "Content-Length and Transfer-Encoding are both given");
    if (framing->chunked && !framing->http_1_1)
        fault(framing, "Transfer-Encoding is not part of HTTP/1.0");
    if (framing->http_1_1 && framing->host.at == NULL)
        fault(framing, "HTTP/1.1 requests need a Host header");
    if (framing->fault)
        return err_set(err, ERR_INVALID, "malformed request: %s", framing->fault);
    return true;
}

static int hex(char c)
{
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "http://host/path" is a path as well (RFC 9112, 3.2.2). */
static const char *without_host(const char *target)
{
    static const char scheme[] = "http://";
    if (!framing_same(bytes_of(target, strnlen(target, sizeof scheme - 1)), scheme))
        return target;
    const char *end = strpbrk(target + sizeof scheme - 1, "/?#"); /* of the host */
    return end && *end == '/' ? end : "/";
}

/* One byte of the path, or -1. */
static int decoded(const char **at)
{
    const char *from = (*at)++;
    int byte = (unsigned char)from[0];
    if (byte == '%') {
        int high = hex(from[1]);
        int low = high < 0 ? -1 : hex(from[2]);
        if (low < 0)
            return -1;
        *at = from + 3;
        byte = high * 16 + low;
        if (byte == '/')
            return -1;
    }
    return byte < 0x20 || byte == 0x7f ? -1 : byte;
}

const char *framing_path(const char *target, struct arena *arena, struct percept_err *err)
{
    const char *at = without_host(target);
    if (at[0] != '/')
        return err_null(err, ERR_INVALID, "malformed request: the target must be a path");
    size_t n = strcspn(at, "?#");
    char *path = arena_alloc(arena, n + 1);
    if (!path) {
        err_memory(err, "a path", n + 1);
        return NULL;
    }
    const char *end = at + n;
    char *to = path;
    while (at < end) {
        int byte = decoded(&at);
        if (byte < 0 || at > end)
            return err_null(err, ERR_INVALID,
                            "malformed request: the path holds %%00, %%2F, a control character or a "
                            "broken escape");
        *to++ = (char)byte;
    }
    *to = '\0';
    return path;
}
