/*
 * peer.c - addresses, ranges of them, and lists of proxies.
 *
 * A list of addresses grows at its right end, by one at each proxy; what stands left of the first address that is not
 * trusted was written by somebody whom nobody knows, and is never looked at.
 */
#include "http/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "http/framing.h"

#define MAPPED 96 /* bits in front of an IPv4 address */

static bool read_address(const char *text, uint8_t to[16], bool *is_v4)
{
    *is_v4 = inet_pton(AF_INET, text, to + 12) == 1;
    if (*is_v4) {
        memset(to, 0, 10);
        to[10] = to[11] = 0xff;
    }
    return *is_v4 || inet_pton(AF_INET6, text, to) == 1;
}

static void write_address(const uint8_t address[16], char text[PEER_TEXT])
{
    const struct peer_range mapped = {.address = {[10] = 0xff, [11] = 0xff}};
    bool is_v4 = memcmp(address, mapped.address, 12) == 0;
    if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? address + 12 : address, text, PEER_TEXT))
        snprintf(text, PEER_TEXT, "?");
}

/* --- ranges ------------------------------------------------------------------------------------------------------- */

static bool read_range(const char *text, struct peer_range *range)
{
    char address[PEER_TEXT];
    size_t n = strcspn(text, "/");
    int64_t bits;
    bool is_v4;
    if (n >= sizeof address)
        return false;
    memcpy(address, text, n);
    address[n] = '\0';
    if (!read_address(address, range->address, &is_v4))
        return false;
    const int most = is_v4 ? 32 : 128;
    if (!text[n])
        bits = most;
    else if (!framing_number(bytes_of_text(text + n + 1), &bits) || bits > most)
        return false;
    range->bits = (int)bits + (is_v4 ? MAPPED : 0);
    return true;
}

bool peer_read(const char *const *texts, int n, struct peers *peers, struct percept_err *err)
{
    *peers = (struct peers){0};
    if (!n)
        return true;
    peers->ranges = arena_buffer((size_t)n * sizeof *peers->ranges);
    if (!peers->ranges)
        return err_memory(err, "the trusted proxies", (size_t)n * sizeof *peers->ranges);
    for (int i = 0; i < n; i++) {
        if (strcmp(texts[i], "unix") == 0) {
            peers->local = true;
            continue;
        }
        if (!read_range(texts[i], &peers->ranges[peers->n])) {
            peer_free(peers);
            return err_set(err, ERR_CONFIG,
                           "--trusted-proxy %s: expected ADDRESS, ADDRESS/BITS such as 10.0.0.0/8, or unix", texts[i]);
        }
        peers->n++;
    }
    return true;
}

void peer_free(struct peers *peers)
{
    arena_buffer_free(peers->ranges);
    *peers = (struct peers){0};
}

static bool in_range(const struct peer_range *range, const uint8_t address[16])
{
    const int whole = range->bits / 8, rest = range->bits % 8;
    if (memcmp(range->address, address, (size_t)whole) != 0)
        return false;
    return !rest || (range->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

static bool is_trusted(const struct peers *peers, const uint8_t address[16])
{
    for (int i = 0; i < peers->n; i++)
        if (in_range(&peers->ranges[i], address))
            return true;
    return false;
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

/* The last entry of a list, without blanks around it, which is taken off. */
static struct bytes take_last(struct bytes *list)
{
    const uint8_t *comma = memrchr(list->at, ',', bytes_size(*list));
    struct bytes last = {comma ? comma + 1 : list->at, list->end};
    list->end = comma ? comma : list->at;
    while (last.at < last.end && (*last.at == ' ' || *last.at == '\t'))
        last.at++;
    while (last.at < last.end && (last.end[-1] == ' ' || last.end[-1] == '\t'))
        last.end--;
    return last;
}

/* Some proxies add the port: 10.0.0.1:80, [::1]:80. */
static bool read_entry(struct bytes entry, uint8_t to[16])
{
    char text[PEER_TEXT];
    bool is_v4;
    size_t n = bytes_size(entry);
    const uint8_t *end = NULL;
    if (n && *entry.at == '[') {
        entry.at++;
        end = memchr(entry.at, ']', n - 1);
    } else if (n && memchr(entry.at, '.', n))
        end = memchr(entry.at, ':', n);
    entry.end = end ? end : entry.end;
    n = bytes_size(entry);
    if (n >= sizeof text)
        return false;
    memcpy(text, entry.at, n);
    text[n] = '\0';
    return strlen(text) == n && read_address(text, to, &is_v4);
}

/* From the right, the first that is not trusted; the leftmost where all are. What is no address ends the search. */
static void follow(const struct peers *trusted, const struct bytes *forwarded, int n, uint8_t address[16])
{
    for (int i = n; i-- > 0;)
        for (struct bytes list = forwarded[i]; bytes_size(list);) {
            uint8_t entry[16];
            if (!read_entry(take_last(&list), entry))
                return;
            memcpy(address, entry, sizeof entry);
            if (!is_trusted(trusted, address))
                return;
        }
}

/* As 16 bytes; false for what is no address of the internet. */
static bool address_of(const struct sockaddr *from, uint8_t address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (from->sa_family == AF_INET) {
        memcpy(address, mapped, sizeof mapped);
        memcpy(address + 12, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    } else if (from->sa_family == AF_INET6)
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
    return from->sa_family == AF_INET || from->sa_family == AF_INET6;
}

bool peer_is_trusted(const struct peers *trusted, const struct sockaddr *from)
{
    uint8_t address[16];
    return from->sa_family == AF_UNIX ? trusted->local : address_of(from, address) && is_trusted(trusted, address);
}

void peer_client(const struct peers *trusted, const struct sockaddr *from, const struct bytes *forwarded, int n,
                 char text[PEER_TEXT])
{
    uint8_t address[16];
    snprintf(text, PEER_TEXT, "%s", from && from->sa_family == AF_UNIX ? "unix" : "?");
    if (!from)
        return;
    if (from->sa_family == AF_UNIX) {
        static const uint8_t none[16];
        memset(address, 0, sizeof address);
        if (trusted->local)
            follow(trusted, forwarded, n, address);
        if (memcmp(address, none, sizeof none) != 0)
            write_address(address, text);
        return;
    }
    if (!address_of(from, address))
        return;
    if (is_trusted(trusted, address))
        follow(trusted, forwarded, n, address);
    write_address(address, text);
}
