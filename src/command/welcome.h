/*
 * welcome.h - what somebody sees who starts the daemon in a terminal: a line that counts loaded
 * models, then where the server is, what it serves, a command to try for each kind of model, and the
 * page for browsers.
 */
#ifndef COMMAND_WELCOME_H
#define COMMAND_WELCOME_H

#include "http/text.h"
#include "serve/catalog.h"

/* "loading 2/5  digits"; rewritten in place on standard error. */
void welcome_progress(struct catalog *catalog);
void welcome_progress_end(void);

/* Where it listens, for people; and one of these places as curl takes it, without a slash at its end.
 * `settings` tell whether a key is needed. */
void welcome_add(struct text *text, struct catalog *catalog, const struct settings *settings, const char *places,
                 const char *url);

#endif
