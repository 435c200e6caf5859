/*
 * place.c - reads what stands behind the plus signs of --listen (place.h). A comma parts places, and a blank would
 * need quotes in a shell, so it is a plus sign; no address has one, and of a socket file's name it is asked.
 */
#include "http/place.h"

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

#define MODE "mode="

/* Octal digits, of permissions alone. */
static bool read_mode(struct bytes digits, mode_t *mode)
{
    mode_t value = 0;
    if (digits.at == digits.end)
        return false;
    for (; digits.at < digits.end; digits.at++) {
        if (*digits.at < '0' || *digits.at > '7' || value > 0777)
            return false;
        value = value * 8 + (mode_t)(*digits.at - '0');
    }
    *mode = value;
    return value <= 0777;
}

static bool is_file(const struct place *place)
{
    return bytes_begin_text(bytes_of_text(place->address), "unix:");
}

static const char *read_word(struct bytes word, struct place *place)
{
    if (bytes_is(word, "ops"))
        place->ops = true;
    else if (bytes_is(word, "tls"))
        place->tls = true;
    else if (bytes_is(word, "proxy"))
        place->proxy = true;
    else if (bytes_is(word, "plain"))
        place->plain = true;
    else if (!bytes_begin_text(word, MODE))
        return "that is none of the words that may stand behind '+': tls, plain, proxy, ops, mode=0660";
    else if (!is_file(place))
        return "only a socket file (unix:/PATH) has a mode";
    else if (!read_mode((struct bytes){word.at + strlen(MODE), word.end}, &place->mode))
        return "a mode is octal, at most 0777";
    return NULL;
}

bool place_read(const char *text, struct place *place, struct percept_err *err)
{
    struct place made = {.mode = PLACE_MODE};
    size_t n = strcspn(text, "+");
    if (n >= sizeof made.address)
        return err_set(err, ERR_CONFIG, "cannot listen on '%.200s': that is longer than any address", text);
    memcpy(made.address, text, n);
    for (const char *at = text + n; *at; at += n) {
        struct bytes word = bytes_of(at + 1, strcspn(at + 1, "+"));
        const char *wrong = read_word(word, &made);
        if (wrong)
            return err_set(err, ERR_CONFIG, "cannot listen on '%.200s': '" BYTES_FMT "': %s", text, BYTES_ARG(word),
                           wrong);
        n = 1 + bytes_size(word);
    }
    if (made.tls && made.plain)
        return err_set(err, ERR_CONFIG, "cannot listen on '%.200s': it is either tls or plain", text);
    *place = made;
    return true;
}

bool place_speaks_tls(const struct place *place, bool is_file, bool has_certificate)
{
    return place->tls || (has_certificate && !place->plain && !is_file);
}
