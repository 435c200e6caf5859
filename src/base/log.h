/*
 * log.h - one readable line per event on standard error, or one JSON object per line:
 *
 *     log_info("model ready", "model", name, "#ms", "12", NULL);
 *     2026-01-31T12:00:00.123Z info  model ready  model=digits ms=12
 *
 * Keys and values are alternating strings ended by NULL; values are quoted as needed; a pair whose key is "" is left
 * out. A '#' before a key is not shown and says that the value is a number: JSON then has it without quotes. A line is
 * written with one write() and dropped, counted, when the reader is slow: logging never blocks the loop. Under systemd
 * (JOURNAL_STREAM set) lines begin with <priority> and have no time of their own. Threads: any; a line is built on the
 * stack. Which levels are written may change while others write.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR_LEVEL, LOG_WARN_LEVEL, LOG_INFO_LEVEL, LOG_DEBUG_LEVEL };

void log_setup(enum log_level level, bool json);

/* Which levels are written, a bit each: 1 << LOG_INFO_LEVEL. After log_setup its level and all that are graver. */
unsigned log_levels(void);
void log_set_levels(unsigned levels);

void log_event(enum log_level level, const char *what, ...) __attribute__((sentinel));

#define log_error(...) log_event(LOG_ERROR_LEVEL, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARN_LEVEL, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO_LEVEL, __VA_ARGS__)
#define log_debug(...) log_event(LOG_DEBUG_LEVEL, __VA_ARGS__)

/* Lines that could not be written so far. */
size_t log_dropped(void);

#endif
