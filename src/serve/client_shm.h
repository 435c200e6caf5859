/*
 * client_shm.h - Triton's system shared memory: regions that clients registered, for inputs and outputs of requests.
 *
 *     struct client_shm *shm = client_shm_new("app-,tmp-", "perceptd", &err);   only names that begin so
 *     client_shm_register(shm, "input", "/app-1", 0, 4096, &err);
 *     const struct client_shm_table *table = client_shm_hold(shm);          for a job, on the loop
 *     ... a worker: client_shm_find, client_shm_read, client_shm_write
 *     client_shm_release(table);                                            when it is done, on the loop
 *
 * A table never changes: registering makes another one. So workers read theirs without a lock, and a region that is
 * unregistered is closed when the last job that may use it has ended. Threads: the loop's, but for what is said of
 * workers.
 */
#ifndef SERVE_CLIENT_SHM_H
#define SERVE_CLIENT_SHM_H

#include "base/bytes.h"
#include "base/watch.h"
#include "percept.h"

#define CLIENT_SHM_REGIONS 1024 /* at most: each is a descriptor */
#define CLIENT_SHM_NAME_MAX 255

#define CLIENT_SHM_DISABLED "Client shared memory is disabled. Start the server with '--client-shm PREFIX' to enable."

struct client_shm;

struct client_shm_region {
    const char *name, *key;
    uint64_t offset, n_bytes; /* of the object */
    int fd;
    int n_tables; /* that have it */
};

struct client_shm_table {
    int n_holders;
    int n;
    struct client_shm_region *regions[]; /* in the order of their names */
};

/* Objects whose names begin with one of `prefixes` (with commas between), and not with `own` and a hyphen, may be
 * registered. The texts outlive it. */
struct client_shm *client_shm_new(const char *prefixes, const char *own, struct percept_err *err);
void client_shm_free(struct client_shm *shm); /* no table may be held; NULL is accepted */

bool client_shm_register(struct client_shm *shm, const char *name, struct bytes key, uint64_t offset, uint64_t n_bytes,
                         struct percept_err *err);

/* NULL: all. A name that is not there is no error. */
bool client_shm_unregister(struct client_shm *shm, const char *name, struct percept_err *err);

/* What is registered now; stays as it is until it is released. `shm` NULL: NULL. */
struct client_shm_table *client_shm_hold(struct client_shm *shm);
void client_shm_release(struct client_shm_table *table);

/* Might a request with this JSON read or write any of it? Asks the text alone: true is no promise. */
bool client_shm_concerns(const struct client_shm_table *table, struct bytes json);

/* Workers as well. The offset is within the region. */
const struct client_shm_region *client_shm_find(const struct client_shm_table *table, struct bytes name,
                                                struct percept_err *err);
bool client_shm_fits(const struct client_shm_region *region, uint64_t offset, uint64_t n_bytes,
                     struct percept_err *err);
bool client_shm_read(const struct client_shm_region *region, uint64_t offset, void *to, size_t n_bytes,
                     struct watch *watch, struct percept_err *err);
bool client_shm_write(const struct client_shm_region *region, uint64_t offset, const void *from, size_t n_bytes,
                      struct watch *watch, struct percept_err *err);

#endif
