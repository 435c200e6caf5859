/*
 * log.c - one event, one line, one write.
 *
 * A line is built in a buffer of PIPE_BUF bytes on the stack: what is not longer is written to a pipe
 * whole or not at all, so lines of several threads do not mix. A long value is cut and marked "...";
 * a pair that does not fit any more is left out, so that JSON is closed whatever happens.
 *
 * Never blocking, without touching the flags of a standard error that we share with our parents:
 *
 *     pipe, terminal     opened anew through /proc with O_NONBLOCK: a description of our own
 *     socket             send with MSG_DONTWAIT
 *     file               written as it is: files do not make us wait for a reader
 *     cannot be opened   written after poll says that there is room
 *
 * log_setup decides once, before threads start; levels may be turned on and off later. A line that cannot be written is
 * counted and gone.
 * Under systemd's journal (JOURNAL_STREAM names our standard error) a line begins with its syslog
 * priority and leaves the time to the journal.
 */
#include "base/log.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES PIPE_BUF
#define TAIL_BYTES 2 /* "}\n" */
#define VALUE_MAX_BYTES 1024

enum way { WAY_POLL = 0, WAY_WRITE, WAY_SEND };

#define UP_TO(level) ((2U << (level)) - 1)

/* Set before threads start, read-only afterwards. */
static struct {
    bool json, journal;
    enum way way;
    int fd;
} setup = {.fd = STDERR_FILENO};

static atomic_uint written = UP_TO(LOG_INFO_LEVEL); /* levels */

static atomic_size_t n_dropped;

static const struct {
    const char *name, *padded;
    int priority; /* syslog's */
} levels[] = {
    [LOG_ERROR_LEVEL] = {"error", "error", 3},
    [LOG_WARN_LEVEL] = {"warn", "warn ", 4},
    [LOG_INFO_LEVEL] = {"info", "info ", 6},
    [LOG_DEBUG_LEVEL] = {"debug", "debug", 7},
};

static bool is_journal(const struct stat *st)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && device == st->st_dev && inode == st->st_ino;
}

unsigned log_levels(void)
{
    return atomic_load_explicit(&written, memory_order_relaxed);
}

void log_set_levels(unsigned levels_written)
{
    atomic_store_explicit(&written, levels_written, memory_order_relaxed);
}

void log_setup(enum log_level level, bool json)
{
    struct stat st = {0};
    bool known = fstat(STDERR_FILENO, &st) == 0;
    if (setup.fd != STDERR_FILENO)
        close(setup.fd);
    log_set_levels(UP_TO(level));
    setup.json = json;
    setup.journal = known && is_journal(&st);
    setup.fd = STDERR_FILENO;
    setup.way = WAY_POLL;
    if (known && S_ISREG(st.st_mode))
        setup.way = WAY_WRITE;
    if (known && S_ISSOCK(st.st_mode))
        setup.way = WAY_SEND;
    if (known && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))) {
        int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd >= 0) {
            setup.fd = fd;
            setup.way = WAY_WRITE;
        }
    }
}

size_t log_dropped(void)
{
    return atomic_load_explicit(&n_dropped, memory_order_relaxed);
}

/* --- building a line ---------------------------------------------------------------------------------------------- */

struct line {
    char text[LINE_MAX_BYTES];
    size_t n;
    bool full; /* something did not fit */
};

static void put_bytes(struct line *line, const char *at, size_t n)
{
    if (n > sizeof line->text - TAIL_BYTES - line->n) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->n, at, n);
    line->n += n;
}

static void put(struct line *line, const char *text)
{
    put_bytes(line, text, strlen(text));
}

static void put_escape(struct line *line, unsigned char byte)
{
    char text[8];
    if (byte == '"' || byte == '\\')
        snprintf(text, sizeof text, "\\%c", byte);
    else if (byte == '\n')
        snprintf(text, sizeof text, "\\n");
    else
        snprintf(text, sizeof text, "\\u%04x", byte);
    put(line, text);
}

/* Escapes as JSON has them; they serve text lines as well. What is no UTF-8 becomes U+FFFD. */
static void put_escaped(struct line *line, const char *text, size_t n)
{
    const uint8_t *at = (const uint8_t *)text, *end = at + n;
    for (const uint8_t *next; at < end; at = next) {
        uint32_t code;
        next = utf8_read(at, end, &code);
        if (!next) {
            put(line, "\xef\xbf\xbd");
            next = at + 1;
        } else if (code < 0x20 || code == '"' || code == '\\' || (code >= 0x7f && code < 0xa0)) {
            put_escape(line, (unsigned char)code);
        } else {
            put_bytes(line, (const char *)at, (size_t)(next - at));
        }
    }
}

static void put_quoted(struct line *line, const char *text)
{
    size_t n = strnlen(text, VALUE_MAX_BYTES + 1);
    bool cut = n > VALUE_MAX_BYTES;
    put(line, "\"");
    put_escaped(line, text, cut ? VALUE_MAX_BYTES : n);
    put(line, cut ? "...\"" : "\"");
}

/* A bare word in a text line: printable, and nothing that separates or quotes. */
static bool is_plain(const char *text)
{
    size_t n = strnlen(text, VALUE_MAX_BYTES + 1);
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '"' || text[i] == '=' || text[i] == '\\')
            return false;
    return n > 0 && n <= VALUE_MAX_BYTES;
}

static void put_time(struct line *line)
{
    struct timespec now;
    struct tm tm;
    char text[64];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
    put(line, text);
}

static void put_text_head(struct line *line, enum log_level level, const char *what)
{
    if (!setup.journal) {
        put_time(line);
        put(line, " ");
        put(line, levels[level].padded);
        put(line, " ");
    }
    put_escaped(line, what, strnlen(what, VALUE_MAX_BYTES));
}

static void put_json_head(struct line *line, enum log_level level, const char *what)
{
    put(line, "{");
    if (!setup.journal) {
        put(line, "\"time\":\"");
        put_time(line);
        put(line, "\",");
    }
    put(line, "\"level\":\"");
    put(line, levels[level].name);
    put(line, "\",\"event\":");
    put_quoted(line, what);
}

/* JSON's grammar of a number; number_read_double takes NaN and Infinity as well. */
static bool is_number(const char *text)
{
    struct bytes all = bytes_of_text(text);
    double value;
    char first = text[*text == '-'];
    return first >= '0' && first <= '9' && number_read_double(all, &value) == all.end;
}

/* The whole pair, or nothing of it. */
static void put_pair(struct line *line, const char *key, const char *value)
{
    bool number = *key == '#' && is_number(value);
    key += *key == '#';
    size_t before = line->n;
    line->full = false;
    if (setup.json) {
        put(line, ",");
        put_quoted(line, key);
        put(line, ":");
        if (number)
            put(line, value);
        else
            put_quoted(line, value);
    } else {
        put(line, " ");
        put(line, key);
        put(line, "=");
        if (is_plain(value))
            put(line, value);
        else
            put_quoted(line, value);
    }
    if (line->full)
        line->n = before;
}

/* Two blanks separate the event from its pairs, one a pair from the next. */
static void put_pairs(struct line *line, va_list args)
{
    const char *key;
    for (bool first = true; (key = va_arg(args, const char *)) != NULL; first = false) {
        if (first && !setup.json)
            put(line, " ");
        const char *value = va_arg(args, const char *);
        if (*key)
            put_pair(line, key, value ? value : "");
        if (!value)
            return;
    }
}

/* --- writing it --------------------------------------------------------------------------------------------------- */

static ssize_t write_line(const struct line *line)
{
    if (setup.way == WAY_SEND)
        return send(setup.fd, line->text, line->n, MSG_DONTWAIT | MSG_NOSIGNAL);
    struct pollfd poll_fd = {.fd = setup.fd, .events = POLLOUT};
    if (setup.way == WAY_POLL && (poll(&poll_fd, 1, 0) != 1 || !(poll_fd.revents & POLLOUT)))
        return -1;
    return write(setup.fd, line->text, line->n);
}

void log_event(enum log_level level, const char *what, ...)
{
    if (!(log_levels() & 1U << level))
        return;
    struct line line;
    line.n = 0;
    line.full = false;
    if (setup.journal) {
        char priority[8];
        snprintf(priority, sizeof priority, "<%d>", levels[level].priority);
        put(&line, priority);
    }
    if (setup.json)
        put_json_head(&line, level, what);
    else
        put_text_head(&line, level, what);
    va_list args;
    va_start(args, what);
    put_pairs(&line, args);
    va_end(args);
    if (setup.json)
        line.text[line.n++] = '}';
    line.text[line.n++] = '\n';
    if (write_line(&line) != (ssize_t)line.n)
        atomic_fetch_add_explicit(&n_dropped, 1, memory_order_relaxed);
}
