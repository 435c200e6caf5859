/*
 * learn.c - the smallest batch that brings what batches can bring.
 *
 * A batch of n makes everybody in it wait for n items. That is worth while as far as an item costs less in it: where
 * weights are read once for all, and where handing a batch over costs as much as running it. How far is a matter of the
 * network, the machine and what else it does, so it is measured while serving: the time of a unit of work, for each
 * class of sizes, from handing over a batch to having it back.
 *
 *     time of a unit   |*
 *                      |  *                   * a class
 *                      |     *  *  *  *       the third is taken: those behind it are no better by SLACK
 *                      +------------------
 *                        1  2  4  8 16 32
 *
 * The choice is the smallest class that is at most SLACK worse than the best of those that can be filled. So no more
 * than that is lost where there is more to do than can be done, and nobody waits for company that brings nothing.
 *
 * A class is known after KNOWN runs: the first may have made a plan. Classes become known from below, each only when
 * the one before it was better than what is below that, so no huge batch is run just to see that it does not pay; and
 * now and then the neighbours of the choice are tried again, since machines change. A request of several items is not
 * cut, so there are classes that nothing fills: they are passed over. Bits do not depend on any of this.
 */
#include "serve/learn.h"

#include <stdbool.h>

#define SLACK 0.03
#define KNOWN 2
#define TRIES 4      /* of a class that does not become known: nothing that waits is of such a size */
#define TRY_EVERY 64 /* choices, of which one is a neighbour's */

static int class_of(int64_t n_items)
{
    int c = 0;
    while (c < LEARN_CLASSES - 1 && n_items > (int64_t)1 << c)
        c++;
    return c;
}

/* As many as the class has, of those that are there. */
static int64_t filled(int c, int64_t n_items)
{
    const int64_t most = (int64_t)1 << c;
    return c == LEARN_CLASSES - 1 || n_items < most ? n_items : most;
}

/* What was slow once, as with a new shape, is forgotten soon. */
void learn_run(struct learn *learn, int64_t n_items, double work, int64_t ns)
{
    if (n_items <= 0 || !(work > 0) || ns <= 0)
        return;
    struct learn_class *class = &learn->classes[class_of(n_items)];
    const double one_ns = (double)ns / work;
    if (!class->n_runs || (class->n_runs < KNOWN && one_ns < class->ns))
        class->ns = one_ns;
    else if (class->n_runs >= KNOWN)
        class->ns += (one_ns - class->ns) / (one_ns < class->ns ? 2 : 8);
    class->n_runs++;
}

static bool known(const struct learn *learn, int c)
{
    return learn->classes[c].n_runs >= KNOWN;
}

static bool better(const struct learn *learn, int c, int than)
{
    return learn->classes[c].ns < learn->classes[than].ns * (1 - SLACK);
}

/* The smallest that is not known and may be worth knowing; -1: none from `first` to `last`. */
static int to_explore(const struct learn *learn, int first, int last)
{
    int below = -1, lowest = -1; /* the last two that are known */
    for (int c = first; c <= last; c++) {
        if (known(learn, c)) {
            lowest = below;
            below = c;
        } else if (learn->classes[c].n_tried < TRIES)
            return lowest < 0 || better(learn, below, lowest) ? c : -1;
    }
    return -1;
}

/* The smallest that is as good as any, of those that are known; -1: none is. */
static int best_class(const struct learn *learn, int first, int last)
{
    double least_ns = 0;
    for (int c = first; c <= last; c++)
        if (known(learn, c) && (least_ns <= 0 || learn->classes[c].ns < least_ns))
            least_ns = learn->classes[c].ns;
    for (int c = first; c <= last; c++)
        if (known(learn, c) && learn->classes[c].ns <= least_ns * (1 + SLACK))
            return c;
    return -1;
}

/* Of the choice, one up and one down in turn. Those that could not be explored may be tried again. */
static int neighbour(struct learn *learn, int c, int first, int last)
{
    const bool up = learn->n_choices / TRY_EVERY % 2;
    for (int i = 0; i < LEARN_CLASSES; i++)
        learn->classes[i].n_tried = 0;
    if (up)
        return c < last ? c + 1 : c;
    return c > first ? c - 1 : c;
}

int64_t learn_choose(struct learn *learn, int64_t least, int64_t n_items)
{
    const int first = class_of(least), last = class_of(n_items);
    const int unknown = to_explore(learn, first, last);
    if (unknown >= 0) {
        learn->classes[unknown].n_tried += unknown < last;
        return filled(unknown, n_items);
    }
    const int best = best_class(learn, first, last);
    const bool trying = ++learn->n_choices % TRY_EVERY == 0;
    if (trying)
        return filled(neighbour(learn, best < 0 ? last : best, first, last), n_items);
    return best < 0 ? n_items : filled(best, n_items);
}

int64_t learn_best(const struct learn *learn, int64_t n_items)
{
    const int best = best_class(learn, 0, class_of(n_items));
    return best < 0 ? n_items : filled(best, n_items);
}
