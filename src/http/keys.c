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
#define DIGEST "sha256:"

static const struct {
    const char *name;
    unsigned scope;
} scopes[] = {{"infer", KEYS_INFER}, {"read", KEYS_READ}, {"admin", KEYS_ADMIN}};

#define N_SCOPES (sizeof scopes / sizeof *scopes)

static struct bytes trimmed(struct bytes line)
{
    while (line.at < line.end && (*line.at == ' ' || *line.at == '\t'))
        line.at++;
    while (line.at < line.end && (line.end[-1] == ' ' || line.end[-1] == '\t' || line.end[-1] == '\r'))
        line.end--;
    return line;
}

/* The next line without its end and its blanks. */
static struct bytes next_line(struct bytes *rest)
{
    const uint8_t *end = memchr(rest->at, '\n', bytes_size(*rest));
    struct bytes line = {rest->at, end ? end : rest->end};
    rest->at = end ? end + 1 : rest->end;
    return trimmed(line);
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

static unsigned scope_of(struct bytes word)
{
    for (size_t i = 0; i < N_SCOPES; i++)
        if (bytes_is(word, scopes[i].name))
            return scopes[i].scope;
    return 0;
}

/* Names with commas, and blanks if one likes, between; 0 where one is none. */
static unsigned read_scopes(struct bytes names)
{
    unsigned all = 0;
    while (names.at < names.end) {
        const uint8_t *comma = memchr(names.at, ',', bytes_size(names));
        struct bytes name = trimmed((struct bytes){names.at, comma ? comma : names.end});
        const unsigned scope = scope_of(name);
        if (!scope || comma + 1 == names.end)
            return 0;
        all |= scope;
        names.at = comma ? comma + 1 : names.end;
    }
    return all;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

static bool read_digest(struct bytes hex, uint8_t digest[SHA256_BYTES])
{
    if (bytes_size(hex) != 2 * SHA256_BYTES)
        return false;
    for (int i = 0; i < SHA256_BYTES; i++) {
        const int high = hex_digit(hex.at[2 * i]), low = hex_digit(hex.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        digest[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static const char *read_key(struct bytes line, struct key *key)
{
    struct bytes word = line;
    while (word.at < word.end && *word.at != ' ' && *word.at != '\t')
        word.at++;
    word = (struct bytes){line.at, word.at};
    if (!printable(word))
        return "an API key is one word of printable ASCII characters";
    key->scopes = word.end == line.end ? KEYS_ALL : read_scopes(trimmed((struct bytes){word.end, line.end}));
    if (!key->scopes)
        return "behind the key come its scopes, with commas between: infer, read, admin";
    if (!bytes_begin_text(word, DIGEST))
        sha256(word, key->digest);
    else if (!read_digest((struct bytes){word.at + strlen(DIGEST), word.end}, key->digest))
        return "behind 'sha256:' come 64 hexadecimal digits";
    return NULL;
}

static bool read_lines(struct bytes rest, const char *path, struct keys *keys, struct percept_err *err)
{
    for (int line_number = 1; rest.at < rest.end; line_number++) {
        struct bytes line = next_line(&rest);
        const char *wrong = is_key(line) ? read_key(line, &keys->at[keys->n++]) : NULL;
        if (wrong)
            return err_set(err, ERR_CONFIG, "'%s', line %d: %s", path, line_number, wrong);
    }
    return keys->n > 0 || err_set(err, ERR_CONFIG, "'%s' holds no API key; write one per line", path);
}

static bool read_text(struct bytes text, const char *path, struct keys *keys, struct percept_err *err)
{
    size_t n = 0;
    for (struct bytes rest = text; rest.at < rest.end;)
        n += is_key(next_line(&rest));
    struct keys fresh = {.at = arena_buffer((n + 1) * sizeof *fresh.at)};
    if (!fresh.at)
        return err_memory(err, "API keys", n * sizeof *fresh.at);
    if (!read_lines(text, path, &fresh, err)) {
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

unsigned keys_match(const struct keys *keys, struct bytes shown)
{
    uint8_t digest[SHA256_BYTES];
    sha256(shown, digest);
    unsigned granted = 0;
    for (int i = 0; i < keys->n; i++) {
        unsigned difference = 0;
        for (int j = 0; j < SHA256_BYTES; j++)
            difference |= (unsigned)(digest[j] ^ keys->at[i].digest[j]);
        granted |= keys->at[i].scopes & (0 - ((difference - 1) >> 31)); /* all of them when there is no difference */
    }
    return granted;
}

uint64_t keys_owner(struct bytes shown)
{
    uint8_t digest[SHA256_BYTES];
    uint64_t owner;
    sha256(shown, digest);
    memcpy(&owner, digest, sizeof owner);
    return owner ? owner : 1;
}

void keys_free(struct keys *keys)
{
    arena_buffer_free(keys->at);
    *keys = (struct keys){0};
}

const char *keys_scope_name(unsigned scope)
{
    for (size_t i = 0; i < N_SCOPES; i++)
        if (scopes[i].scope == scope)
            return scopes[i].name;
    return "";
}
