/*
 * site.h - what the settings name for all exchanges of a server: keys, trusted proxies, origins, the base path,
 * clients' shared memory. Read once at the start; a wrong one is a sentence that names the option.
 */
#ifndef HTTP_SITE_H
#define HTTP_SITE_H

#include "http/exchange.h"

/* Of site->settings, whose texts outlive it. False: nothing is to be closed. */
bool site_open(struct site *site, struct percept_err *err);
void site_close(struct site *site);

/* Would it open? */
bool site_check(const struct settings *settings, struct percept_err *err);

#endif
