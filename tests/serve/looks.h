/* looks.h - a watch whose deadline passes at the k-th look at the clock. */
#ifndef TEST_SERVE_LOOKS_H
#define TEST_SERVE_LOOKS_H

#include "base/watch.h"

#define LOOKS_ENDLESS 0x7fffffff

/* After that many looks the deadline has passed. Looks are counted from here. */
struct watch looks_until(int over_at);
int looks_seen(void);

/* Ends `work`, which looks at *watch, at each of its looks, and by a flag; `code` is where it leaves why. */
void looks_end_it(struct watch *watch, bool (*work)(void), const int *code);

#endif
