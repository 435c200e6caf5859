/*
 * client_shm.c - the tables of client_shm.h.
 *
 * What a client may name is bounded by the operator's prefix: an object in /dev/shm, no path, no link (base/segment.h),
 * never one of our own. Its size is looked at when it is registered, for the sake of an early error alone; what counts
 * is what a read gives, because its owner may shrink it whenever he likes. Opening an object is some microseconds of
 * work on the loop; elements are copied by workers.
 */
#include "serve/client_shm.h"

#include <sys/resource.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/segment.h"

#define RESERVED "triton_python_backend_shm_region_"

struct client_shm {
    const char *prefixes, *own;     /* with commas between */
    struct client_shm_table *table; /* held by us */
};

/* --- tables ------------------------------------------------------------------------------------------------------- */

static void drop_region(struct client_shm_region *region)
{
    if (--region->n_tables)
        return;
    segment_close(region->fd);
    arena_buffer_free(region);
}

static struct client_shm_table *new_table(int n, struct percept_err *err)
{
    const size_t n_bytes = sizeof(struct client_shm_table) + (size_t)n * sizeof(struct client_shm_region *);
    struct client_shm_table *table = arena_buffer(n_bytes);
    if (!table)
        return err_memory(err, "a table of shared memory regions", n_bytes), NULL;
    table->n_holders = 1;
    return table;
}

static void append(struct client_shm_table *table, struct client_shm_region *region)
{
    region->n_tables++;
    table->regions[table->n++] = region;
}

struct client_shm_table *client_shm_hold(struct client_shm *shm)
{
    if (!shm)
        return NULL;
    shm->table->n_holders++;
    return shm->table;
}

void client_shm_release(struct client_shm_table *table)
{
    if (!table || --table->n_holders)
        return;
    for (int i = 0; i < table->n; i++)
        drop_region(table->regions[i]);
    arena_buffer_free(table);
}

static void replace(struct client_shm *shm, struct client_shm_table *table)
{
    client_shm_release(shm->table);
    shm->table = table;
}

/* Packed weights lie in OWN-UID-DIGEST. */
static bool is_own(const struct client_shm *shm, struct bytes object)
{
    const size_t n = strlen(shm->own);
    return bytes_begin_text(object, shm->own) && bytes_size(object) > n && object.at[n] == '-';
}

/* The next of the prefixes; `*at` is behind it then, and NULL behind the last. */
static struct bytes next_prefix(const char **at)
{
    const size_t n = strcspn(*at, ",");
    const struct bytes prefix = bytes_of(*at, n);
    *at = (*at)[n] ? *at + n + 1 : NULL;
    return prefix;
}

static bool judge_prefixes(const struct client_shm *shm, struct percept_err *err)
{
    for (const char *at = shm->prefixes; at;) {
        const struct bytes prefix = next_prefix(&at);
        if (!bytes_size(prefix) || memchr(prefix.at, '/', bytes_size(prefix)))
            return err_set(err, ERR_CONFIG,
                           "--client-shm %s: a prefix has one character at least and no slash, as in app-,tmp-",
                           shm->prefixes);
        if (is_own(shm, prefix))
            return err_set(err, ERR_CONFIG, "--client-shm %s: what begins with '%s-' is our own; choose another prefix",
                           shm->prefixes, shm->own);
    }
    return true;
}

struct client_shm *client_shm_new(const char *prefixes, const char *own, struct percept_err *err)
{
    struct client_shm *shm = arena_buffer(sizeof *shm);
    if (!shm)
        return err_memory(err, "shared memory regions", sizeof *shm), NULL;
    *shm = (struct client_shm){.prefixes = prefixes, .own = own};
    if (judge_prefixes(shm, err))
        shm->table = new_table(0, err);
    if (shm->table)
        return shm;
    arena_buffer_free(shm);
    return NULL;
}

void client_shm_free(struct client_shm *shm)
{
    if (!shm)
        return;
    client_shm_release(shm->table);
    arena_buffer_free(shm);
}

/* --- registering -------------------------------------------------------------------------------------------------- */

/* Whether `name` is there, and where it is or would be. */
static bool find(const struct client_shm_table *table, struct bytes name, int *at)
{
    int low = 0, high = table->n;
    while (low < high) {
        int middle = (low + high) / 2;
        struct bytes other = bytes_of_text(table->regions[middle]->name);
        size_t n = bytes_size(name) < bytes_size(other) ? bytes_size(name) : bytes_size(other);
        int order = n ? memcmp(other.at, name.at, n) : 0;
        if (order < 0 || (order == 0 && bytes_size(other) < bytes_size(name)))
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return low < table->n && bytes_is(name, table->regions[low]->name);
}

static bool has_prefix(const struct client_shm *shm, struct bytes object)
{
    bool has = false;
    for (const char *at = shm->prefixes; at && !has;) {
        const struct bytes prefix = next_prefix(&at);
        has = bytes_size(object) >= bytes_size(prefix) && memcmp(object.at, prefix.at, bytes_size(prefix)) == 0;
    }
    return has;
}

static bool key_allowed(const struct client_shm *shm, struct bytes object)
{
    return bytes_size(object) <= CLIENT_SHM_NAME_MAX && bytes_size(object) > 0 && has_prefix(shm, object) &&
           !is_own(shm, object) && !bytes_begin_text(object, RESERVED) && !memchr(object.at, '/', bytes_size(object)) &&
           !memchr(object.at, 0, bytes_size(object));
}

static struct client_shm_region *new_region(const char *name, struct bytes key, struct percept_err *err)
{
    const size_t n_name = strlen(name) + 1, n_key = bytes_size(key);
    struct client_shm_region *region = arena_buffer(sizeof *region + n_name + n_key + 1);
    if (!region)
        return err_memory(err, "a shared memory region", sizeof *region), NULL;
    char *text = (char *)(region + 1);
    memcpy(text, name, n_name);
    memcpy(text + n_name, key.at, n_key);
    region->name = text;
    region->key = text + n_name;
    region->fd = -1;
    return region;
}

/* Numbers of descriptors are given from below: a high one says that few are left, and connections need them, too. */
static bool descriptors_left(const struct client_shm_region *region, struct percept_err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || (rlim_t)region->fd < limit.rlim_cur - limit.rlim_cur / 4)
        return true;
    return err_set(err, ERR_UNAVAILABLE, "failed to register shared memory region '%s': descriptors are short",
                   region->name);
}

/* Opens the object; the region must lie within it. */
static bool open_region(struct client_shm_region *region, uint64_t offset, uint64_t n_bytes, struct percept_err *err)
{
    uint64_t size = 0;
    region->fd = segment_open(region->key + (*region->key == '/'), &size, err);
    if (region->fd < 0)
        return err_prefix(err, "Unable to open shared memory region: '%s': ", region->key);
    if (!descriptors_left(region, err))
        return false;
    region->offset = offset;
    region->n_bytes = n_bytes;
    if (n_bytes && offset <= size && n_bytes <= size - offset)
        return true;
    return err_set(
        err, ERR_INVALID,
        "failed to register shared memory region '%s': invalid args: bytes %llu to %llu of an object of %llu",
        region->name, (unsigned long long)offset, (unsigned long long)(offset + n_bytes), (unsigned long long)size);
}

static bool insert(struct client_shm *shm, struct client_shm_region *region, int at, struct percept_err *err)
{
    const struct client_shm_table *old = shm->table;
    struct client_shm_table *table = new_table(old->n + 1, err);
    if (!table)
        return false;
    for (int i = 0; i <= old->n; i++) {
        if (i == at)
            append(table, region);
        if (i < old->n)
            append(table, old->regions[i]);
    }
    replace(shm, table);
    return true;
}

bool client_shm_register(struct client_shm *shm, const char *name, struct bytes key, uint64_t offset, uint64_t n_bytes,
                         struct percept_err *err)
{
    int at;
    struct bytes object = key;
    object.at += bytes_size(key) && *key.at == '/';
    if (find(shm->table, bytes_of_text(name), &at))
        return err_set(err, ERR_INVALID, "shared memory region '%s' already in manager", name);
    if (!key_allowed(shm, object))
        return err_set(err, ERR_INVALID,
                       "cannot register shared memory region '%s' - invalid shm key '" BYTES_FMT
                       "': it begins with none of '%s'",
                       name, BYTES_ARG(key), shm->prefixes);
    if (shm->table->n >= CLIENT_SHM_REGIONS)
        return err_set(err, ERR_INVALID, "failed to register shared memory region '%s': there are %d already", name,
                       shm->table->n);
    struct client_shm_region *region = new_region(name, key, err);
    if (region && open_region(region, offset, n_bytes, err) && insert(shm, region, at, err))
        return true;
    if (region) {
        region->n_tables = 1;
        drop_region(region);
    }
    return false;
}

bool client_shm_unregister(struct client_shm *shm, const char *name, struct percept_err *err)
{
    const struct client_shm_table *old = shm->table;
    int at = -1;
    if (name && !find(old, bytes_of_text(name), &at))
        return true;
    struct client_shm_table *table = new_table(name ? old->n - 1 : 0, err);
    if (!table)
        return false;
    for (int i = 0; name && i < old->n; i++)
        if (i != at)
            append(table, old->regions[i]);
    replace(shm, table);
    return true;
}

/* --- using -------------------------------------------------------------------------------------------------------- */

/* A key of JSON may be written with escapes, too. */
bool client_shm_concerns(const struct client_shm_table *table, struct bytes json)
{
    static const char word[] = "shared_memory_", escape[] = "\\u";
    return table && table->n && bytes_size(json) &&
           (memmem(json.at, bytes_size(json), word, sizeof word - 1) ||
            memmem(json.at, bytes_size(json), escape, sizeof escape - 1));
}

const struct client_shm_region *client_shm_find(const struct client_shm_table *table, struct bytes name,
                                                struct percept_err *err)
{
    int at;
    if (find(table, name, &at))
        return table->regions[at];
    return err_null(err, ERR_NOT_FOUND, "Unable to find system shared memory region: '" BYTES_FMT "'", BYTES_ARG(name));
}

bool client_shm_fits(const struct client_shm_region *region, uint64_t offset, uint64_t n_bytes, struct percept_err *err)
{
    if (offset > region->n_bytes)
        return err_set(err, ERR_INVALID, "Invalid offset for shared memory region: '%s'", region->name);
    if (n_bytes > region->n_bytes - offset)
        return err_set(err, ERR_INVALID, "Invalid offset + byte size for shared memory region: '%s'", region->name);
    return true;
}

bool client_shm_read(const struct client_shm_region *region, uint64_t offset, void *to, size_t n_bytes,
                     struct watch *watch, struct percept_err *err)
{
    return client_shm_fits(region, offset, n_bytes, err) &&
           (segment_read(region->fd, region->offset + offset, to, n_bytes, watch, err) ||
            err_prefix(err, "region '%s': ", region->name));
}

bool client_shm_write(const struct client_shm_region *region, uint64_t offset, const void *from, size_t n_bytes,
                      struct watch *watch, struct percept_err *err)
{
    return client_shm_fits(region, offset, n_bytes, err) &&
           (segment_write(region->fd, region->offset + offset, from, n_bytes, watch, err) ||
            err_prefix(err, "region '%s': ", region->name));
}
