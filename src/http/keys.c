/*
 * keys.c - reads and compares API keys (keys.h). The text of the file is overwritten before its
 * memory is given back. Keys never reach the log or an error's sentence: messages name the line's
 * number.
 *
 * Thread: the loop's, at start and per request. A digest of a key costs about a microsecond.
 */
#include "http/keys.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)

/* The next line without its end and its blanks. */
static struct bytes next_line(struct bytes *rest)
{
    const uint8_t *end = memchr(rest->at, '\n', bytes_size(*rest));
    struct bytes line = {rest->at, end ? end : rest->end};
    rest->at = end ? end + 1 : rest->end;
    while (line.at < line.end && (*line.at == ' ' || *line.at == '\t'))
        line.at++;
    while (line.at < line.end && (line.end[-1] == ' ' || line.end[-1] == '\t' || line.end[-1] == '\r'))
        line.end--;
    return line;
}

static bool is_key(struct bytes line)
{
    return line.at < line.end && *line.at != '#';
}

static bool printable(struct bytes line)
{
    for (const uint8_t *at = line.at; at < line.end; at++)
        if (*at <= 0x20 || *at >= 0x7f)
            return false;
    return true;
}

static bool digest_lines(struct bytes rest, const char *path, struct keys *keys, struct percept_err *err)
{
    for (int line_number = 1; rest.at < rest.end; line_number++) {
        struct bytes line = next_line(&rest);
        if (!is_key(line))
            continue;
        if (!printable(line))
            return err_set(err, ERR_CONFIG, "'%s', line %d: an API key is one word of printable ASCII characters", path,
                           line_number);
        sha256(line, keys->digests[keys->n++]);
    }
    if (keys->n == 0)
        return err_set(err, ERR_CONFIG, "'%s' holds no API key; write one per line", path);
    return true;
}

static bool read_text(struct bytes text, const char *path, struct keys *keys, struct percept_err *err)
{
    size_t n = 0;
    for (struct bytes rest = text; rest.at < rest.end;)
        n += is_key(next_line(&rest));
    struct keys fresh = {.digests = arena_buffer((n + 1) * SHA256_BYTES)};
    if (!fresh.digests)
        return err_memory(err, "API keys", n * SHA256_BYTES);
    if (!digest_lines(text, path, &fresh, err)) {
        keys_free(&fresh);
        return false;
    }
    *keys = fresh;
    return true;
}

bool keys_read(const char *path, struct keys *keys, struct percept_err *err)
{
    *keys = (struct keys){0};
    if (!path)
        return true;
    struct bytes text;
    if (!file_read(path, FILE_MAX_BYTES, &text, NULL, err))
        return err_prefix(err, "API keys: ") || err_config(err);
    bool read = read_text(text, path, keys, err);
    void *memory = (void *)(uintptr_t)text.at;
    explicit_bzero(memory, bytes_size(text));
    arena_buffer_free(memory);
    return read;
}

bool keys_match(const struct keys *keys, struct bytes shown)
{
    uint8_t digest[SHA256_BYTES];
    sha256(shown, digest);
    unsigned matches = 0;
    for (int i = 0; i < keys->n; i++) {
        unsigned difference = 0;
        for (int j = 0; j < SHA256_BYTES; j++)
            difference |= (unsigned)(digest[j] ^ keys->digests[i][j]);
        matches += (difference - 1) >> 31; /* 1 when there is no difference */
    }
    return matches != 0;
}

void keys_free(struct keys *keys)
{
    arena_buffer_free(keys->digests);
    *keys = (struct keys){0};
}
