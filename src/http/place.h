/*
 * place.h - what one --listen says: where, and, behind plus signs, what holds there alone.
 *
 *     struct place place;
 *     if (!place_read("unix:/run/perceptd.sock+mode=0666", &place, &err)) ...
 *     place.address is "unix:/run/perceptd.sock", place.mode 0666
 *
 * A pure function of its text; any thread.
 */
#ifndef HTTP_PLACE_H
#define HTTP_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "percept.h"

#define PLACE_BYTES 120
#define PLACE_MODE 0660

struct place {
    char address[PLACE_BYTES]; /* what listen.h opens */
    bool ops;                  /* health and /metrics, nothing else */
    bool proxy;                /* proxies that are trusted say who their client is */
    bool tls, plain;           /* what was said of TLS */
    mode_t mode;               /* of a socket file */
};

/* Is TLS spoken there? Where nothing was said: where there is a certificate, but not at socket files. */
bool place_speaks_tls(const struct place *place, bool is_file, bool has_certificate);

/* False with a sentence that names the wrong word. */
bool place_read(const char *text, struct place *place, struct percept_err *err);

#endif
