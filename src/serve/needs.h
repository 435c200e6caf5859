/*
 * needs.h - models that cannot serve without others: a chain needs the models of its steps.
 *
 * A need is by name, and by version where one was said, so that what is needed may be replaced
 * beneath whoever needs it. Needs lie with their entry and go with it. The catalog alone uses this.
 * Threads: the loop's.
 */
#ifndef SERVE_NEEDS_H
#define SERVE_NEEDS_H

#include "serve/entry.h"

enum needs_state { NEEDS_MET, NEEDS_WAITING, NEEDS_FAILED };

/* `all`: every entry, linked by next. Version 0: any. False with a sentence when that would make a
 * circle (INVALID), or memory is short. */
bool needs_add(struct entry *entry, const char *name, int64_t version, struct entry *all, struct percept_err *err);

/* Is all that it needs READY, is something still loading, or will it not come? Then err says why. */
enum needs_state needs_look(const struct entry *entry, const struct served *listed, struct percept_err *err);

/* Who would be without `served`; NULL: nobody. */
const struct entry *needs_holder(const struct entry *all, const struct served *listed, const struct served *served);

#endif
