/*
 * region.c - packed weights in POSIX shared memory, one named object per model that is served.
 *
 *     /dev/shm/PREFIX-UID-DIGEST
 *     | header (one page): magic, sizes, digest, row, model | packed bytes, 64-byte aligned ... |
 *
 * Publishing. The object is made with O_TMPFILE, so it has no name while it is written and nothing is
 * left if the writer dies. posix_fallocate takes the pages beforehand: a tmpfs that is full then says
 * ENOSPC here instead of sending SIGBUS later. linkat gives it its name in one step; EEXIST means that
 * somebody else packed the same bytes faster, and theirs is used.
 *
 * Holding. A holder keeps a descriptor with flock(LOCK_SH). The kernel drops it when the process dies,
 * however it dies, so a crash needs no repair: the object is then an orphan, which the next start on the
 * same model adopts and any other start removes. (fcntl locks would vanish with any close of the file.)
 * The writer takes its shared lock before the name exists, so no cleaner can come in between.
 *
 * Removing. Whoever gets LOCK_EX without waiting is alone and may unlink. Somebody who had just opened
 * the object then finds a link count of 0 after getting his lock and treats it as not found.
 *
 * Trust. An object is believed only if it belongs to us, has mode 0400, one link, the right size and a
 * header with our digest. Root can do anything anyway.
 *
 * Where /dev/shm is missing or too small (64 MB in a container by default) a memfd sealed against every
 * change holds the weights for this process alone.
 *
 * This file does not decide what the digest covers (engine/pack.c does) and does not log.
 */
#include "base/region.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"

#define FOLDER "/dev/shm"
#define DEFAULT_PREFIX "perceptd"
#define HEADER_BYTES 4096
#define MAGIC "percept1"

struct header {
    char magic[8];
    uint64_t n_bytes; /* of the packed part */
    uint8_t digest[16];
    char row[16];
    char model[160];
};

struct region {
    const char *map;
    size_t map_bytes;
    int fd; /* holds LOCK_SH; -1 when private */
    char name[80];
};

static void make_name(char *name, size_t n, const struct region_key *key)
{
    int at = snprintf(name, n, "%s-%u-", key->prefix ? key->prefix : DEFAULT_PREFIX,
                      (unsigned)geteuid());
    for (int i = 0; i < 16 && at > 0 && (size_t)at + 3 <= n; i++)
        at += snprintf(name + at, n - (size_t)at, "%02x", key->digest[i]);
}

static void make_path(char *path, size_t n, const char *name)
{
    snprintf(path, n, FOLDER "/%s", name);
}

/* Copies the tail of a text that is too long: the end of a path says more than its beginning. */
static void copy_tail(char *to, size_t n, const char *text)
{
    size_t length = strlen(text);
    snprintf(to, n, "%s", length < n ? text : text + length - (n - 1));
}

static bool trusted(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_uid == geteuid() && st->st_nlink == 1 &&
           (st->st_mode & 07777) == 0400 && st->st_size > HEADER_BYTES;
}

static struct region *region_new(const char *map, size_t map_bytes, int fd, const char *name)
{
    struct region *region = arena_buffer(sizeof *region);
    if (!region)
        return NULL;
    region->map = map;
    region->map_bytes = map_bytes;
    region->fd = fd;
    snprintf(region->name, sizeof region->name, "%s", name);
    return region;
}

struct region *region_find(const struct region_key *key, size_t n_bytes)
{
    char name[80], path[128];
    make_name(name, sizeof name, key);
    make_path(path, sizeof path, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    struct stat st;
    void *map = MAP_FAILED;
    size_t map_bytes = n_bytes + HEADER_BYTES;
    if (flock(fd, LOCK_SH | LOCK_NB) == 0 && fstat(fd, &st) == 0 && trusted(&st) &&
        (uint64_t)st.st_size == map_bytes)
        map = mmap(NULL, map_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) {
        const struct header *header = map;
        struct region *region = NULL;
        if (memcmp(header->magic, MAGIC, sizeof header->magic) == 0 && header->n_bytes == n_bytes &&
            memcmp(header->digest, key->digest, sizeof key->digest) == 0)
            region = region_new(map, map_bytes, fd, name);
        if (region)
            return region;
        munmap(map, map_bytes);
    }
    close(fd);
    return NULL;
}

/* Maps n bytes of the descriptor for writing after making sure that the pages exist. */
static bool draft_map(struct region_draft *draft, int fd, size_t map_bytes)
{
    if (posix_fallocate(fd, 0, (off_t)map_bytes) != 0)
        return false;
    void *map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return false;
    draft->fd = fd;
    draft->map = map;
    draft->map_bytes = map_bytes;
    draft->data = (char *)map + HEADER_BYTES;
    return true;
}

/* Asking for more than there is would first take all that there is. */
static bool beyond_machine(size_t n_bytes)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 && n_bytes / (size_t)page >= (size_t)pages;
}

bool region_begin(struct region_draft *draft, size_t n_bytes, bool named, struct percept_err *err)
{
    size_t map_bytes = n_bytes + HEADER_BYTES;
    if (map_bytes < n_bytes || beyond_machine(map_bytes))
        return err_memory(err, "packed weights", n_bytes);
    *draft = (struct region_draft){.fd = -1, .n_bytes = n_bytes, .named = named};
    if (named) {
        int fd = open(FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
        if (fd >= 0 && fchmod(fd, 0400) == 0 && draft_map(draft, fd, map_bytes))
            return true;
        if (fd >= 0)
            close(fd);
        draft->named = false;
    }
    int fd = memfd_create("percept-weights", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && draft_map(draft, fd, map_bytes))
        return true;
    if (fd >= 0)
        close(fd);
    return err_memory(err, "packed weights", n_bytes);
}

void region_abandon(struct region_draft *draft)
{
    if (draft->map)
        munmap(draft->map, draft->map_bytes);
    if (draft->fd >= 0)
        close(draft->fd);
    draft->map = NULL;
    draft->fd = -1;
}

static void fill_header(struct region_draft *draft, const struct region_key *key)
{
    struct header *header = draft->map;
    memcpy(header->magic, MAGIC, sizeof header->magic);
    header->n_bytes = draft->n_bytes;
    memcpy(header->digest, key->digest, sizeof header->digest);
    snprintf(header->row, sizeof header->row, "%s", key->row);
    copy_tail(header->model, sizeof header->model, key->model);
}

/* The draft's memory under a name; NULL when that cannot be had. The draft is used up either way. */
static struct region *publish_named(struct region_draft *draft, const struct region_key *key)
{
    char name[80], path[128], self[64];
    make_name(name, sizeof name, key);
    make_path(path, sizeof path, name);
    snprintf(self, sizeof self, "/proc/self/fd/%d", draft->fd);
    munmap(draft->map, draft->map_bytes);
    draft->map = NULL;
    struct region *region = NULL;
    if (flock(draft->fd, LOCK_SH | LOCK_NB) == 0 &&
        (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 || errno == EEXIST))
        region = region_find(key, draft->n_bytes);
    region_abandon(draft);
    return region;
}

static struct region *publish_private(struct region_draft *draft, struct percept_err *err)
{
    munmap(draft->map, draft->map_bytes);
    draft->map = NULL;
    /* Sealing fails while a writable mapping exists; a region that cannot be sealed is still right. */
    (void)fcntl(draft->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    size_t map_bytes = draft->map_bytes;
    void *map = mmap(NULL, map_bytes, PROT_READ, MAP_PRIVATE, draft->fd, 0);
    region_abandon(draft);
    if (map == MAP_FAILED)
        return err_null(err, ERR_SYSTEM, "cannot map %zu bytes of packed weights: %s", map_bytes,
                        strerror(errno));
    struct region *region = region_new(map, map_bytes, -1, "");
    if (!region) {
        munmap(map, map_bytes);
        err_memory(err, "a region", sizeof *region);
    }
    return region;
}

/* The same bytes in private memory, for when a name cannot be had after all. */
static bool draft_copy_private(const struct region_draft *from, struct region_draft *to)
{
    if (!region_begin(to, from->n_bytes, false, NULL))
        return false;
    memcpy(to->map, from->map, from->map_bytes);
    return true;
}

struct region *region_publish(struct region_draft *draft, const struct region_key *key,
                              struct percept_err *err)
{
    fill_header(draft, key);
    if (!draft->named)
        return publish_private(draft, err);
    /* linkat can fail (a foreign object under our name, a full directory): map once more and copy. */
    struct region_draft named = *draft;
    named.fd = dup(draft->fd);
    named.map = mmap(NULL, draft->map_bytes, PROT_READ, MAP_SHARED, draft->fd, 0);
    if (named.map == MAP_FAILED)
        named.map = NULL;
    struct region *region = publish_named(draft, key);
    if (!region && named.map) {
        struct region_draft private_draft;
        if (draft_copy_private(&named, &private_draft))
            region = publish_private(&private_draft, err);
    }
    region_abandon(&named);
    if (!region)
        err_set(err, ERR_MEMORY, "packed weights (%zu bytes) fit neither " FOLDER
                                 " nor private memory", named.n_bytes);
    return region;
}

const void *region_data(const struct region *region)
{
    return region->map + HEADER_BYTES;
}

size_t region_bytes(const struct region *region)
{
    return region->map_bytes - HEADER_BYTES;
}

const char *region_name(const struct region *region)
{
    return region->name;
}

/* Removes the name if nobody else holds the object. The descriptor's shared lock is given up. */
static bool remove_if_alone(int fd, const char *name)
{
    char path[128];
    make_path(path, sizeof path, name);
    struct stat st;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink == 1 &&
           unlink(path) == 0;
}

void region_release(struct region *region)
{
    if (!region)
        return;
    munmap((void *)(uintptr_t)region->map, region->map_bytes);
    if (region->fd >= 0) {
        remove_if_alone(region->fd, region->name);
        close(region->fd);
    }
    arena_buffer_free(region);
}

/* Calls `each` for every object of ours with this prefix; the sum of what it returns. */
static int for_each(const char *prefix, int (*each)(void *user, int fd, const char *name), void *user)
{
    char start[64];
    int n = snprintf(start, sizeof start, "%s-%u-", prefix ? prefix : DEFAULT_PREFIX,
                     (unsigned)geteuid());
    DIR *folder = opendir(FOLDER);
    if (!folder)
        return 0;
    int sum = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, start, (size_t)n) != 0 || strlen(entry->d_name) >= 80)
            continue;
        int fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        struct stat st;
        if (fd < 0)
            continue;
        if (fstat(fd, &st) == 0 && trusted(&st))
            sum += each(user, fd, entry->d_name);
        close(fd);
    }
    closedir(folder);
    return sum;
}

static int clean_one(void *user, int fd, const char *name)
{
    (void)user;
    return remove_if_alone(fd, name) ? 1 : 0;
}

int percept_clean_regions(const char *prefix)
{
    return for_each(prefix, clean_one, NULL);
}

struct listing {
    struct percept_region_info *infos;
    int n, n_max;
};

/* Process ids that hold a lock on this inode, from /proc/locks:
 * "12: FLOCK  ADVISORY  READ 4711 00:19:2053 0 EOF" */
static void find_holders(const struct stat *st, struct percept_region_info *info)
{
    FILE *locks = fopen("/proc/locks", "re");
    if (!locks)
        return;
    char line[256];
    while (fgets(line, sizeof line, locks)) {
        int pid;
        unsigned major_id, minor_id;
        unsigned long inode;
        if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%lu", &pid, &major_id, &minor_id, &inode) != 4 ||
            inode != st->st_ino || major_id != major(st->st_dev) || minor_id != minor(st->st_dev))
            continue;
        if (info->n_holders < (int)(sizeof info->holders / sizeof *info->holders))
            info->holders[info->n_holders] = pid;
        info->n_holders++;
    }
    fclose(locks);
}

static int list_one(void *user, int fd, const char *name)
{
    struct listing *listing = user;
    struct header header;
    struct stat st;
    if (listing->n >= listing->n_max || fstat(fd, &st) != 0 ||
        pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header ||
        memcmp(header.magic, MAGIC, sizeof header.magic) != 0)
        return 0;
    header.row[sizeof header.row - 1] = '\0';
    header.model[sizeof header.model - 1] = '\0';
    struct percept_region_info *info = &listing->infos[listing->n++];
    *info = (struct percept_region_info){.n_bytes = (size_t)header.n_bytes};
    snprintf(info->name, sizeof info->name, "%s", name);
    snprintf(info->row, sizeof info->row, "%s", header.row);
    snprintf(info->model, sizeof info->model, "%s", header.model);
    find_holders(&st, info);
    return 1;
}

int percept_list_regions(const char *prefix, struct percept_region_info *infos, int n_max)
{
    struct listing listing = {.infos = infos, .n_max = n_max};
    return for_each(prefix, list_one, &listing);
}
