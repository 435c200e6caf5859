/*
 * slices.h - replies that may be long, as those that tell of every model are, written a slice at a time: nobody waits
 * for them longer than a slice takes.
 *
 *     static bool row(struct slices *slices, const struct served *served)
 *     {
 *         if (served)
 *             add(&slices->text, served);
 *         return slices->row == 1;
 *     }
 *     ...
 *     slices_start(exchange, &(struct slices){.n_rows = 3, .write = row, .end = reply});
 *
 * Threads: the loop's.
 */
#ifndef HTTP_SLICES_H
#define HTTP_SLICES_H

#include "http/exchange.h"

struct slices {
    int n_rows;
    /* Begins the row (served is NULL): true when it goes on with each model, whose turn then comes. */
    bool (*write)(struct slices *slices, const struct served *served);
    void (*end)(struct slices *slices); /* gives the exchange its reply; the text may have failed */
    void *user;                         /* the writer's own, in the exchange's arena */

    struct exchange *exchange;
    struct text text;
    int row;

    /* slices.c's own */
    struct slices *next; /* in the site's list */
    bool in_models, any; /* of this row; one of them was written */
    const struct served *at;
    char name[256]; /* of the model that was written last */
    int64_t version;
};

/* Takes a copy. The reply is there on return, or the exchange waits for it. */
void slices_start(struct exchange *exchange, const struct slices *slices);

/* One slice more, of whoever waits longest: once a turn. False: there is more to write. */
bool slices_go_on(struct site *site);

#endif
