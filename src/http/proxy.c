/*
 * proxy.c - reads PROXY headers byte by byte (proxy.h). Of version 2 the head is kept, and as many bytes of addresses
 * as its family has; what follows (TLVs) is counted and skipped. A header is right or wrong as a whole: what cannot be
 * read in one way alone is wrong, and nobody guesses where requests begin.
 */
#include "http/proxy.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/bytes.h"
#include "http/framing.h"

#define HEAD 16 /* of version 2 */
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define SIGNATURE_BYTES 12
#define LINE "PROXY "
#define VERSION_LOCAL 0x20
#define VERSION_PROXY 0x21
#define UNIX_BYTES 216

/* --- version 2 ---------------------------------------------------------------------------------------------------- */

/* Bytes of addresses; -1: there is no such family. */
static int address_bytes(uint8_t family)
{
    switch (family) {
    case 0x00: /* unspecified */
        return 0;
    case 0x11: /* TCP over IPv4 */
        return 12;
    case 0x21: /* TCP over IPv6 */
        return 36;
    case 0x31: /* stream over a socket file */
        return UNIX_BYTES;
    default:
        return -1;
    }
}

static void judge_head(struct proxy *proxy)
{
    const uint8_t command = proxy->kept[12];
    const int n = address_bytes(proxy->kept[13]);
    proxy->n_left = (size_t)(proxy->kept[14] << 8 | proxy->kept[15]);
    if (command != VERSION_LOCAL && (command != VERSION_PROXY || n < 0 || proxy->n_left < (size_t)n))
        proxy->state = PROXY_WRONG;
}

static void read_addresses(struct proxy *proxy)
{
    const uint8_t *at = proxy->kept + HEAD;
    if (proxy->kept[12] == VERSION_LOCAL)
        return;
    if (proxy->kept[13] == 0x11) {
        proxy->from.v4.sin_family = AF_INET;
        memcpy(&proxy->from.v4.sin_addr, at, 4);
        memcpy(&proxy->from.v4.sin_port, at + 8, 2);
    } else if (proxy->kept[13] == 0x21) {
        proxy->from.v6.sin6_family = AF_INET6;
        memcpy(&proxy->from.v6.sin6_addr, at, 16);
        memcpy(&proxy->from.v6.sin6_port, at + 32, 2);
    }
}

static void take_binary(struct proxy *proxy, uint8_t byte)
{
    if (proxy->n_kept < PROXY_KEPT)
        proxy->kept[proxy->n_kept++] = byte;
    if (proxy->n_kept <= SIGNATURE_BYTES) {
        if (byte != (uint8_t)SIGNATURE[proxy->n_kept - 1])
            proxy->state = PROXY_WRONG;
        return;
    }
    if (proxy->n_kept < HEAD)
        return;
    if (proxy->n_kept == HEAD)
        judge_head(proxy);
    else
        proxy->n_left--;
    if (proxy->state == PROXY_COMING && !proxy->n_left) {
        read_addresses(proxy);
        proxy->state = PROXY_DONE;
    }
}

/* --- version 1 ---------------------------------------------------------------------------------------------------- */

/* The next word of a line whose words stand one blank apart, ended by a NUL; "" where there is none. */
static char *next_word(char **rest)
{
    char *word = *rest;
    *rest += strcspn(word, " ");
    if (**rest)
        *(*rest)++ = '\0';
    return word;
}

static bool read_port(const char *word, in_port_t *port)
{
    int64_t number;
    if (!framing_number(bytes_of_text(word), &number) || number > 65535)
        return false;
    *port = htons((uint16_t)number);
    return true;
}

/* "TCP4 192.0.2.1 198.51.100.1 4711 80": source and destination, and their ports. */
static bool read_line(struct proxy *proxy, char *rest)
{
    const char *family = next_word(&rest);
    if (strcmp(family, "UNKNOWN") == 0)
        return true; /* whatever follows */
    const bool v6 = strcmp(family, "TCP6") == 0;
    const char *from = next_word(&rest), *to = next_word(&rest), *port = next_word(&rest), *to_port = rest;
    struct in6_addr unused;
    in_port_t number;
    if ((!v6 && strcmp(family, "TCP4") != 0) || !read_port(to_port, &number) || !read_port(port, &number) ||
        inet_pton(v6 ? AF_INET6 : AF_INET, to, &unused) != 1)
        return false;
    proxy->from.v6 = (struct sockaddr_in6){.sin6_family = v6 ? AF_INET6 : AF_INET, .sin6_port = number};
    if (inet_pton(v6 ? AF_INET6 : AF_INET, from, v6 ? (void *)&proxy->from.v6.sin6_addr : &proxy->from.v4.sin_addr) ==
        1)
        return true;
    proxy->from.family = AF_UNSPEC;
    return false;
}

static void take_text(struct proxy *proxy, uint8_t byte)
{
    const size_t n = proxy->n_kept++;
    char *line = (char *)proxy->kept;
    proxy->kept[n] = byte;
    if (n < strlen(LINE) ? byte != (uint8_t)LINE[n] : byte == '\0' || n == PROXY_KEPT - 1)
        proxy->state = PROXY_WRONG;
    if (byte != '\n' || proxy->state == PROXY_WRONG)
        return;
    const bool ended = line[n - 1] == '\r';
    line[n - 1] = '\0';
    proxy->state = ended && read_line(proxy, line + strlen(LINE)) ? PROXY_DONE : PROXY_WRONG;
}

size_t proxy_take(struct proxy *proxy, const void *bytes, size_t n_bytes)
{
    const uint8_t *at = bytes;
    size_t n = 0;
    for (; n < n_bytes && proxy->state == PROXY_COMING; n++)
        if ((proxy->n_kept ? proxy->kept[0] : at[n]) == (uint8_t)LINE[0])
            take_text(proxy, at[n]);
        else
            take_binary(proxy, at[n]);
    return n;
}
