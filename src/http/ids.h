/*
 * ids.h - what a request is called: X-Request-Id, taken over from its client or made here, and W3C's traceparent.
 *
 * Both go back to the client and into log lines, so only texts that can stand anywhere are taken. Thread: the loop's.
 */
#ifndef HTTP_IDS_H
#define HTTP_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define IDS_MADE 24 /* characters of one that was made */
#define IDS_MAX 128 /* of one that is taken over */

/* Where they come from: of this run of the server, and counted. */
struct ids {
    uint64_t run, n;
};

void ids_start(struct ids *ids);

/* Another one: hexadecimal, unlike any of other servers or runs. NUL-ended. */
void ids_make(struct ids *ids, char to[IDS_MADE + 1]);

/* May a client's X-Request-Id be taken over? 1 to IDS_MAX letters, digits and -._~:/+=@ */
bool ids_is_request(struct bytes text);

/* Is it a traceparent (W3C Trace Context, 3.2)? Of versions that do not exist yet there may be more. */
bool ids_is_trace(struct bytes text);

#endif
