/*
 * trim.h - when does a session give memory back?
 *
 * A session's scratch is as large as the largest run that it ever had. One request of a rare size must not keep
 * hundreds of megabytes for ever, nor shall a size that comes now and then be planned anew each time. So what
 * runs need is noted for stretches of TRIM_WINDOW_NS; at the end of one, a session that holds more than twice
 * what any run of this stretch and the one before needed gives back the rest. One that was not used at all in
 * both gives back everything, unless it is the one that the lane would use next. Less than TRIM_LEAST_BYTES is
 * not worth a look.
 *
 * It decides; the dispatcher acts. Threads: the loop's, for batches at home.
 */
#ifndef SERVE_TRIM_H
#define SERVE_TRIM_H

#include "serve/batch.h"

#define TRIM_WINDOW_NS INT64_C(30000000000)
#define TRIM_LEAST_BYTES ((size_t)4 << 20)

enum trim { TRIM_NOTHING, TRIM_REST, TRIM_ALL };

/* Looks at a batch at home, and begins a new stretch if one is over. `next`: it would be used next. *look_ns becomes
 * earlier if it shall be looked at then. */
enum trim trim_judge(struct batch *batch, bool next, int64_t now_ns, int64_t *look_ns);

#endif
