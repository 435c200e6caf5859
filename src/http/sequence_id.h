/*
 * sequence_id.h - how a path or a query names a sequence. An id of digits alone is a number, any other a text; a text
 * of digits is written in quotes. Pure functions; any thread.
 */
#ifndef HTTP_SEQUENCE_ID_H
#define HTTP_SEQUENCE_ID_H

#include "base/arena.h"
#include "serve/job.h"

/* Sets who it is, and that it is asked; the owner stays. The text's bytes are kept by whoever has them. */
bool sequence_id_read(struct bytes text, struct job_sequence *id, struct percept_err *err);

/* `sequence_id`, `sequence_start`, `sequence_end` behind '?', for bodies that have no place for them; nothing is asked
 * where there is no id, or 0. */
bool sequence_id_query(const char *target, struct arena *arena, struct job_sequence *id, struct percept_err *err);

#endif
