/*
 * stream.c - a machine with one state per place in a request's grammar. Each state is a function
 * that looks at one byte and says what comes next, or what is wrong. Long runs (a header's value, a
 * body) are skipped in a loop of their own.
 *
 * It is strict where microhttpd is lax, and leaves alone what microhttpd or framing.c judge well:
 * which methods and versions there are, what a path holds, which of the headers that have nothing to
 * do with lengths may be given once. Empty lines before a request are allowed (RFC 9112, 2.2).
 */
#include "http/stream.h"

#include <assert.h>
#include <string.h>

#define LENGTH_DIGITS 18 /* 10^18 fits */
#define CHUNK_DIGITS 15
#define ENTRY_BYTES 64   /* what microhttpd notes for a header, a cookie, a part of a query */
#define HEAD_BYTES 28000 /* of its 32768 for a connection, rounding aside */
#define LINE_BYTES 32500 /* the first line: of one that just fits it makes nothing */

enum state {
    STATE_START, /* between two requests */
    STATE_START_LF,
    STATE_METHOD,
    STATE_TARGET,
    STATE_VERSION,
    STATE_LINE, /* the beginning of a header's or trailer's line */
    STATE_NAME,
    STATE_VALUE,
    STATE_LINE_LF,
    STATE_END_LF, /* of the head, or of the trailer */
    STATE_BODY,
    STATE_SIZE,
    STATE_EXTENSION,
    STATE_SIZE_LF,
    STATE_CHUNK,
    STATE_CHUNK_CR,
    STATE_CHUNK_LF,
};

enum header { HEADER_OTHER, HEADER_LENGTH, HEADER_ENCODING, HEADER_COOKIE };

#define TOKEN 1  /* what methods and names are made of */
#define TEXT 2   /* values and extensions: all but control characters */
#define TARGET 4 /* targets: no spaces either */

static const uint8_t kinds[256] = {
    ['\t'] = TEXT,
    [' '] = TEXT,
    ['"'] = TEXT | TARGET,
    ['('] = TEXT | TARGET,
    [')'] = TEXT | TARGET,
    [','] = TEXT | TARGET,
    ['/'] = TEXT | TARGET,
    [':'] = TEXT | TARGET,
    [';'] = TEXT | TARGET,
    ['<'] = TEXT | TARGET,
    ['='] = TEXT | TARGET,
    ['>'] = TEXT | TARGET,
    ['?'] = TEXT | TARGET,
    ['@'] = TEXT | TARGET,
    ['['] = TEXT | TARGET,
    ['\\'] = TEXT | TARGET,
    [']'] = TEXT | TARGET,
    ['{'] = TEXT | TARGET,
    ['}'] = TEXT | TARGET,
    ['!'] = TOKEN | TEXT | TARGET,
    ['#' ... '\''] = TOKEN | TEXT | TARGET,
    ['*' ... '+'] = TOKEN | TEXT | TARGET,
    ['-' ... '.'] = TOKEN | TEXT | TARGET,
    ['0' ... '9'] = TOKEN | TEXT | TARGET,
    ['A' ... 'Z'] = TOKEN | TEXT | TARGET,
    ['^' ... 'z'] = TOKEN | TEXT | TARGET,
    ['|'] = TOKEN | TEXT | TARGET,
    ['~'] = TOKEN | TEXT | TARGET,
    [0x80 ... 0xff] = TEXT | TARGET,
};

static bool is(uint8_t byte, uint8_t kind)
{
    return kinds[byte] & kind;
}

static bool fault(struct stream *stream, const char *sentence)
{
    stream->fault = sentence;
    return false;
}

static bool go(struct stream *stream, enum state state)
{
    stream->state = state;
    return true;
}

/* A line ends here if the byte is its carriage return; else it is one that may not stand there. */
static bool end_line(struct stream *stream, uint8_t byte, enum state then, const char *what)
{
    if (byte == '\r')
        return go(stream, then);
    return fault(stream, byte == '\n' ? "a line ends without a carriage return"
                         : byte == 0  ? "a line holds a NUL byte"
                                      : what);
}

static void keep(struct stream *stream, uint8_t byte)
{
    if (stream->n_word < STREAM_WORD - 1)
        stream->word[stream->n_word++] = (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
}

static bool word_is(const struct stream *stream, const char *text)
{
    return stream->n_word == strlen(text) && memcmp(stream->word, text, stream->n_word) == 0;
}

static bool line_feed(struct stream *stream, uint8_t byte, enum state then)
{
    return byte == '\n' ? go(stream, then) : fault(stream, "a carriage return stands without its line feed");
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* Cookies and a query's parts, which nobody here asks for, are noted by microhttpd as headers are,
 * and cookies copied. Where that leaves no room for the head itself, it answers twice or never. A
 * head that is too long without them it answers well. */
static bool has_room(struct stream *stream)
{
    return !stream->extra_bytes || stream->head_bytes + stream->extra_bytes <= HEAD_BYTES ||
           fault(stream, "the head is too long for its cookies or the parts of its query");
}

/* --- the first line ----------------------------------------------------------------------------------------------- */

static bool at_method(struct stream *stream, uint8_t byte)
{
    if (is(byte, TOKEN)) {
        keep(stream, byte);
        return true;
    }
    if (byte == ' ') {
        stream->is_pri = word_is(stream, "pri");
        stream->n_word = 0;
        return go(stream, STATE_TARGET);
    }
    return end_line(stream, byte, STATE_METHOD, "the method holds a character that it may not have") &&
           fault(stream, "the first line has no target");
}

static bool at_start(struct stream *stream, uint8_t byte)
{
    if (byte == '\r')
        return go(stream, STATE_START_LF);
    *stream = (struct stream){.state = STATE_METHOD, .n_heads = stream->n_heads};
    keep(stream, byte);
    return is(byte, TOKEN) ? true : end_line(stream, byte, STATE_METHOD, "a request begins with its method");
}

static bool at_target(struct stream *stream, uint8_t byte)
{
    if (is(byte, TARGET)) {
        stream->n_digits = 1; /* it is not empty */
        stream->extra_bytes += byte == '&' ? ENTRY_BYTES : 0;
        return true;
    }
    if (byte == ' ' && stream->n_digits) {
        stream->n_digits = 0;
        return go(stream, STATE_VERSION);
    }
    return end_line(stream, byte, STATE_TARGET, "the target holds a character that it may not have") &&
           fault(stream, "the first line has no version");
}

static bool at_version(struct stream *stream, uint8_t byte)
{
    static const char sentence[] = "the protocol's version must be HTTP/1.1 or HTTP/1.0";
    if (is(byte, TARGET)) {
        keep(stream, byte);
        return (byte >= 'a' && byte <= 'z') ? fault(stream, sentence) : true;
    }
    if (!end_line(stream, byte, STATE_LINE_LF, "the first line has more than three parts"))
        return false;
    const char *word = stream->word;
    bool good = stream->n_word == 8 && memcmp(word, "http/", 5) == 0 && word[6] == '.' && word[5] >= '0' &&
                word[5] <= '9' && word[7] >= '0' && word[7] <= '9';
    stream->http_1_0 = good && memcmp(word + 5, "1.0", 3) == 0;
    stream->http_2 = good && stream->is_pri && word_is(stream, "http/2.0");
    if (stream->http_2)
        return fault(stream, "this is HTTP/2, as gRPC clients speak it; perceptd speaks HTTP/1.1");
    if (!good)
        return fault(stream, sentence);
    return stream->head_bytes <= LINE_BYTES ? has_room(stream) : fault(stream, "the target is too long");
}

/* --- headers and trailers ----------------------------------------------------------------------------------------- */

static bool at_line(struct stream *stream, uint8_t byte)
{
    stream->n_word = 0;
    if (is(byte, TOKEN)) {
        stream->head_bytes += ENTRY_BYTES;
        keep(stream, byte);
        return go(stream, STATE_NAME);
    }
    return end_line(stream, byte, STATE_END_LF,
                    is_blank(byte) ? "a header is folded over several lines"
                                   : "a header's name holds a character that names may not have");
}

static bool begin_value(struct stream *stream)
{
    stream->header = HEADER_OTHER;
    if (!stream->trailer && word_is(stream, "content-length"))
        stream->header = HEADER_LENGTH;
    if (!stream->trailer && word_is(stream, "transfer-encoding"))
        stream->header = HEADER_ENCODING;
    if (!stream->trailer && word_is(stream, "cookie")) {
        stream->header = HEADER_COOKIE;
        stream->extra_bytes += ENTRY_BYTES;
    }
    stream->n_word = stream->n_digits = 0;
    if (stream->header == HEADER_LENGTH && stream->has_length)
        return fault(stream, "Content-Length is given twice");
    if (stream->header == HEADER_ENCODING && stream->chunked)
        return fault(stream, "Transfer-Encoding is given twice");
    return go(stream, STATE_VALUE);
}

static bool at_name(struct stream *stream, uint8_t byte)
{
    if (is(byte, TOKEN)) {
        keep(stream, byte);
        return true;
    }
    if (byte == ':')
        return begin_value(stream);
    return end_line(stream, byte, STATE_NAME, "a header's name holds a character that names may not have") &&
           fault(stream, "a header has no colon");
}

/* What microhttpd would take for a part of the value, others do not. */
static bool blank_behind(struct stream *stream)
{
    return fault(stream, "a blank stands behind a length or a transfer coding");
}

static bool take_digit(struct stream *stream, uint8_t byte)
{
    if (is_blank(byte))
        return !stream->n_digits || blank_behind(stream);
    if (byte < '0' || byte > '9' || stream->n_digits == LENGTH_DIGITS)
        return fault(stream, "Content-Length must be a decimal number");
    stream->n_digits++;
    stream->length = stream->length * 10 + (uint64_t)(byte - '0');
    return true;
}

static bool end_encoding(struct stream *stream)
{
    uint8_t n_word = stream->n_word;
    stream->chunked = true;
    while (stream->n_word && is_blank((uint8_t)stream->word[stream->n_word - 1]))
        stream->n_word--;
    if (!word_is(stream, "chunked"))
        return fault(stream, "Transfer-Encoding must be chunked");
    return stream->n_word == n_word || blank_behind(stream);
}

static bool end_value(struct stream *stream)
{
    if (stream->header == HEADER_LENGTH) {
        stream->has_length = true;
        return stream->n_digits || fault(stream, "Content-Length must be a decimal number");
    }
    return stream->header != HEADER_ENCODING || end_encoding(stream);
}

static bool at_value(struct stream *stream, uint8_t byte)
{
    if (!is(byte, TEXT))
        return end_line(stream, byte, STATE_LINE_LF, "a header's value holds a control character") && end_value(stream);
    if (stream->header == HEADER_LENGTH)
        return take_digit(stream, byte);
    if (stream->header == HEADER_ENCODING && (stream->n_word || !is_blank(byte)))
        keep(stream, byte);
    if (stream->header == HEADER_COOKIE)
        stream->extra_bytes += byte == ';' || byte == ',' ? ENTRY_BYTES + 1 : 1;
    return true;
}

/* The empty line: of a head, where the body begins; of a trailer, where the request ends. */
static bool at_end(struct stream *stream, uint8_t byte)
{
    if (!line_feed(stream, byte, STATE_START))
        return false;
    if (stream->trailer)
        return true;
    stream->n_heads++;
    if (stream->chunked && stream->has_length)
        return fault(stream, "Content-Length and Transfer-Encoding are both given");
    if (stream->chunked && stream->http_1_0)
        return fault(stream, "Transfer-Encoding is not part of HTTP/1.0");
    if (!has_room(stream))
        return false;
    stream->n_digits = 0;
    if (stream->chunked)
        return go(stream, STATE_SIZE);
    return !stream->length || go(stream, STATE_BODY);
}

/* --- chunks ------------------------------------------------------------------------------------------------------- */

static int hex(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool at_size(struct stream *stream, uint8_t byte)
{
    static const char sentence[] = "a chunk's size must be a hexadecimal number";
    int digit = hex(byte);
    if (!stream->n_digits)
        stream->length = 0;
    if (digit >= 0) {
        stream->length = stream->length * 16 + (uint64_t)digit;
        return stream->n_digits++ < CHUNK_DIGITS || fault(stream, sentence);
    }
    if (!stream->n_digits)
        return fault(stream, sentence);
    if (byte == ';')
        return go(stream, STATE_EXTENSION);
    return end_line(stream, byte, STATE_SIZE_LF, sentence);
}

static bool at_extension(struct stream *stream, uint8_t byte)
{
    return is(byte, TEXT) || end_line(stream, byte, STATE_SIZE_LF, "a chunk's extension holds a control character");
}

static bool at_size_end(struct stream *stream, uint8_t byte)
{
    stream->n_digits = 0;
    stream->trailer = stream->length == 0;
    return line_feed(stream, byte, stream->trailer ? STATE_LINE : STATE_CHUNK);
}

static bool at_chunk_end(struct stream *stream, uint8_t byte)
{
    return byte == '\r' ? go(stream, STATE_CHUNK_LF) : fault(stream, "a chunk is longer than its size says");
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

/* False with a fault, and only then. */
static bool step(struct stream *stream, uint8_t byte)
{
    switch ((enum state)stream->state) {
    case STATE_START:
        return at_start(stream, byte);
    case STATE_START_LF:
        return line_feed(stream, byte, STATE_START);
    case STATE_METHOD:
        return at_method(stream, byte);
    case STATE_TARGET:
        return at_target(stream, byte);
    case STATE_VERSION:
        return at_version(stream, byte);
    case STATE_LINE:
        return at_line(stream, byte);
    case STATE_NAME:
        return at_name(stream, byte);
    case STATE_VALUE:
        return at_value(stream, byte);
    case STATE_LINE_LF:
        return line_feed(stream, byte, STATE_LINE);
    case STATE_END_LF:
        return at_end(stream, byte);
    case STATE_SIZE:
        return at_size(stream, byte);
    case STATE_EXTENSION:
        return at_extension(stream, byte);
    case STATE_SIZE_LF:
        return at_size_end(stream, byte);
    case STATE_CHUNK_CR:
        return at_chunk_end(stream, byte);
    case STATE_CHUNK_LF:
        return line_feed(stream, byte, STATE_SIZE);
    case STATE_BODY:
    case STATE_CHUNK:
        break;
    }
    return true;
}

/* Bytes that need no look each: a body, the middle of a value. */
static size_t skip(struct stream *stream, const uint8_t *at, size_t n)
{
    size_t i = 0;
    if (stream->state == STATE_BODY || stream->state == STATE_CHUNK) {
        i = stream->length < n ? (size_t)stream->length : n;
        stream->length -= i;
        if (!stream->length)
            stream->state = stream->state == STATE_BODY ? STATE_START : STATE_CHUNK_CR;
    } else if (stream->state == STATE_VALUE && stream->header == HEADER_OTHER) {
        while (i < n && is(at[i], TEXT))
            i++;
    } else if (stream->state == STATE_TARGET && stream->n_digits) {
        while (i < n && is(at[i], TARGET) && at[i] != '&')
            i++;
    }
    return i;
}

size_t stream_judge(struct stream *stream, const void *bytes, size_t n_bytes)
{
    const uint8_t *at = bytes;
    size_t good = 0; /* where the request begins that is read, or went on at the beginning */
    for (size_t i = 0; i < n_bytes && !stream->fault;) {
        size_t from = i;
        i += skip(stream, at + i, n_bytes - i);
        if (stream->state == STATE_START)
            good = i;
        if (i < n_bytes && stream->state != STATE_BODY && stream->state != STATE_CHUNK) {
            const bool good_byte = step(stream, at[i++]);
            assert(good_byte == !stream->fault);
        }
        stream->head_bytes += i - from;
    }
    return stream->fault ? good : n_bytes;
}
