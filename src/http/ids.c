/*
 * ids.c - making and judging ids. One that is made is the run's 32 random bits, 32 bits of the time when it started,
 * and a count: cheap, and unique enough to find a line in the logs of many servers. Nothing secret depends on it.
 */
#include "http/ids.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#define COUNT_DIGITS 8

void ids_start(struct ids *ids)
{
    struct timespec now;
    uint32_t random = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint32_t)now.tv_nsec;
    *ids = (struct ids){.run = (uint64_t)random << 32 | (uint32_t)now.tv_sec};
}

static char *put_hex(char *to, uint64_t value, int n_digits)
{
    for (int i = n_digits; i-- > 0; value >>= 4)
        to[i] = "0123456789abcdef"[value & 15];
    return to + n_digits;
}

void ids_make(struct ids *ids, char to[IDS_MADE + 1])
{
    to = put_hex(to, ids->run, IDS_MADE - COUNT_DIGITS);
    *put_hex(to, ids->n++, COUNT_DIGITS) = '\0';
}

static bool is_letter(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool ids_is_request(struct bytes text)
{
    for (const uint8_t *at = text.at; at < text.end; at++)
        if (!is_letter(*at) && (*at == 0 || !strchr("-._~:/+=@", *at)))
            return false;
    return bytes_size(text) > 0 && bytes_size(text) <= IDS_MAX;
}

/* So many hexadecimal digits, small ones, and not all of them `but`; then what follows is taken off. */
static bool take_hex(struct bytes *text, size_t n, char but)
{
    bool other = false;
    if (bytes_size(*text) < n)
        return false;
    for (size_t i = 0; i < n; i++, text->at++) {
        uint8_t c = *text->at;
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        other |= c != (uint8_t)but;
    }
    return other || !but;
}

static bool take_hyphen(struct bytes *text)
{
    return bytes_size(*text) > 0 && *text->at++ == '-';
}

bool ids_is_trace(struct bytes text)
{
    const bool first_version = bytes_begin_text(text, "00");
    return bytes_size(text) <= IDS_MAX && ids_is_request(text) && take_hex(&text, 2, 'f') && take_hyphen(&text) &&
           take_hex(&text, 32, '0') && take_hyphen(&text) && take_hex(&text, 16, '0') && take_hyphen(&text) &&
           take_hex(&text, 2, 0) && (!bytes_size(text) || (!first_version && *text.at == '-'));
}
