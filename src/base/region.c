/*
 * region.c - packed weights in POSIX shared memory, one named object per model that is served.
 *
 *     /dev/shm/PREFIX-UID-DIGEST
 *     | header (one page): magic, sizes, digest, level, model, build, form | packed bytes, 64-byte aligned ... |
 *
 * The header's form has a number. What follows it is room, zero by now, for what a later form may say: the precision,
 * which algorithm each layer has, until when the object is kept and for whom, further names of the same bytes. Who
 * finds another form, or anything in that room, does not adopt the object; the fields before the number stay where they
 * are in every form, so that any object can be listed and make way.
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
 * Keeping. A holder may mark an object as kept: it then survives its last holder. The mark is the sticky
 * bit ("save the text image", as it once meant; it has no other meaning for a file), its time the time of
 * modification, which nothing else changes once the object is published; so the contents stay read-only,
 * and a mark needs no other file that could be lost or be wrong. The time is set first and the bit then: a
 * holder that dies in between leaves an object that is not kept. Marking needs a shared lock and removing
 * the exclusive one, so they exclude each other, and whoever removes looks at the mark under his lock.
 * A kept object goes when its mark is too old for the one who cleans (0 is too old at once), when a newer
 * one replaces it (region_keep: the same file's, or by another build, which could not be adopted), or when
 * /dev/shm is full: those of other builds first, then the one that was marked longest ago.
 *
 * Notes. What a file hashes to is an object too, named by the file's device and inode, with a header of its own kind
 * and the note behind it. It is published, held, kept and removed as its region is. A note whose stamp is another,
 * whose file had been written less than two seconds before it was looked at, or at a time that is yet to come, is as
 * good as none: a change within one tick of the file system's clock would not show.
 *
 * Trust. An object is believed only if it belongs to us, has mode 0400 (01400 when kept), one link, the
 * right size and a header with our digest. Root can do anything anyway.
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
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"

#define FOLDER "/dev/shm"
#define DEFAULT_PREFIX "perceptd"
#define HEADER_BYTES 4096
#define MAGIC "percept1"
#define NOTE_MAGIC "perceptn"
#define FORM 2
#define KEPT ((mode_t)S_ISVTX)
/* The folder is everybody's: neither a link nor a pipe that waits for a writer may hold us. */
#define LOOK_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)

struct header {
    char magic[8];
    uint64_t n_bytes; /* of the packed part */
    uint8_t digest[16];
    char level[16];
    char model[160];
    char build[16];
    uint32_t form; /* of this page; 0 before it had a number */
    uint8_t room[HEADER_BYTES - 228];
};
_Static_assert(sizeof(struct header) == HEADER_BYTES, "the header is a page");

/* A note's object. */
struct noted {
    struct header header;
    struct region_note note;
};

struct region {
    const char *map;
    size_t map_bytes;
    int fd;   /* holds LOCK_SH; -1 when private */
    int note; /* the same of the note about its file, or -1 */
    bool kept;
    char note_name[80];
    char name[80];
    char prefix[48];
};

static void make_name(char *name, size_t n, const struct region_key *key)
{
    int at = snprintf(name, n, "%s-%u-", key->prefix ? key->prefix : DEFAULT_PREFIX, (unsigned)geteuid());
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
           (st->st_mode & 07777 & ~KEPT) == 0400 && st->st_size > HEADER_BYTES;
}

/* Is it marked, and not for longer than this? 0: a mark does not count; negative: however old. */
static bool is_kept(const struct stat *st, int64_t keep_seconds)
{
    struct timespec now;
    if (!(st->st_mode & KEPT) || keep_seconds <= 0)
        return (st->st_mode & KEPT) && keep_seconds < 0;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec - st->st_mtim.tv_sec < keep_seconds;
}

static struct region *region_new(const char *map, size_t map_bytes, int fd, const char *name, const char *prefix)
{
    struct region *region = arena_buffer(sizeof *region);
    if (!region)
        return NULL;
    snprintf(region->prefix, sizeof region->prefix, "%s", prefix ? prefix : DEFAULT_PREFIX);
    region->map = map;
    region->map_bytes = map_bytes;
    region->fd = fd;
    region->note = -1;
    snprintf(region->name, sizeof region->name, "%s", name);
    return region;
}

/* Of our form, and nothing said in it that we would not understand. */
static bool is_understood(const struct header *header)
{
    static const uint8_t nothing[sizeof header->room];
    return memcmp(header->magic, MAGIC, sizeof header->magic) == 0 && header->form == FORM &&
           memcmp(header->room, nothing, sizeof nothing) == 0;
}

struct region *region_find(const struct region_key *key, size_t n_bytes)
{
    char name[80], path[128];
    make_name(name, sizeof name, key);
    make_path(path, sizeof path, name);
    int fd = open(path, LOOK_FLAGS);
    if (fd < 0)
        return NULL;
    struct stat st;
    void *map = MAP_FAILED;
    size_t map_bytes = n_bytes + HEADER_BYTES;
    if (flock(fd, LOCK_SH | LOCK_NB) == 0 && fstat(fd, &st) == 0 && trusted(&st) && (uint64_t)st.st_size == map_bytes)
        map = mmap(NULL, map_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) {
        const struct header *header = map;
        struct region *region = NULL;
        if (is_understood(header) && header->n_bytes == n_bytes &&
            memcmp(header->digest, key->digest, sizeof key->digest) == 0)
            region = region_new(map, map_bytes, fd, name, key->prefix);
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
    errno = posix_fallocate(fd, 0, (off_t)map_bytes);
    if (errno)
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

/* Removes the name if nobody holds the object, unless it is kept and the mark is not older than this. The
 * descriptor's own lock is given up. The lock is not even tried for what is kept: somebody may be about
 * to adopt it. */
static bool remove_if_alone(int fd, const char *name, int64_t keep_seconds)
{
    char path[128];
    make_path(path, sizeof path, name);
    struct stat st;
    if (fstat(fd, &st) != 0 || is_kept(&st, keep_seconds))
        return false;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink == 1 &&
           !is_kept(&st, keep_seconds) && unlink(path) == 0;
}

/* Calls `each` for every object of ours with this prefix; the sum of what it returns. */
static int for_each(const char *prefix, int (*each)(void *user, int fd, const char *name), void *user)
{
    char start[64];
    int n = snprintf(start, sizeof start, "%s-%u-", prefix ? prefix : DEFAULT_PREFIX, (unsigned)geteuid());
    DIR *folder = opendir(FOLDER);
    if (!folder)
        return 0;
    int sum = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, start, (size_t)n) != 0 || strlen(entry->d_name) >= 80)
            continue;
        int fd = openat(dirfd(folder), entry->d_name, LOOK_FLAGS);
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

/* --- kept ones that make way -------------------------------------------------------------------------------------- */

struct evicting {
    const struct region_key *key;
    bool other_builds;
    char name[80]; /* the one marked longest ago, after `after` */
    struct timespec marked, after;
};

static bool earlier(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

static bool read_header_of(int fd, const char *magic, struct header *header)
{
    if (pread(fd, header, sizeof *header, 0) != (ssize_t)sizeof *header ||
        memcmp(header->magic, magic, sizeof header->magic) != 0)
        return false;
    header->level[sizeof header->level - 1] = '\0';
    header->model[sizeof header->model - 1] = '\0';
    header->build[sizeof header->build - 1] = '\0';
    return true;
}

static bool read_header(int fd, struct header *header)
{
    return read_header_of(fd, MAGIC, header);
}

/* Written in another form, or by another build (NULL: one without a name). */
static bool is_foreign(const struct header *header, const char *build)
{
    return header->form != FORM || strcmp(header->build, build ? build : "") != 0;
}

static int pick_oldest(void *user, int fd, const char *name)
{
    struct evicting *evicting = user;
    struct header header;
    struct stat st;
    if (fstat(fd, &st) != 0 || !is_kept(&st, -1) || !read_header(fd, &header))
        return 0;
    if (is_foreign(&header, evicting->key->build) != evicting->other_builds || !earlier(evicting->after, st.st_mtim) ||
        (evicting->name[0] && !earlier(st.st_mtim, evicting->marked)))
        return 0;
    snprintf(evicting->name, sizeof evicting->name, "%s", name);
    evicting->marked = st.st_mtim;
    return 0;
}

/* Removes one kept object that nobody holds, the one that will be missed least. */
static bool evict_one(const struct region_key *key)
{
    for (int round = 0; round < 2; round++) {
        struct evicting evicting = {.key = key, .other_builds = round == 0};
        for (;;) {
            char path[128];
            evicting.name[0] = '\0';
            for_each(key->prefix, pick_oldest, &evicting);
            if (!evicting.name[0])
                break;
            make_path(path, sizeof path, evicting.name);
            int fd = open(path, LOOK_FLAGS);
            bool removed = fd >= 0 && remove_if_alone(fd, evicting.name, 0);
            if (fd >= 0)
                close(fd);
            if (removed)
                return true;
            evicting.after = evicting.marked; /* held by somebody: the next */
        }
    }
    return false;
}

/* Asking for more than there is would first take all that there is. */
static bool beyond_machine(size_t n_bytes)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 && n_bytes / (size_t)page >= (size_t)pages;
}

/* A named object, as long as kept ones can make way for it. */
static bool begin_named(struct region_draft *draft, size_t map_bytes, const struct region_key *key)
{
    bool full;
    do {
        int fd = open(FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
        if (fd < 0)
            return false;
        if (fchmod(fd, 0400) == 0 && draft_map(draft, fd, map_bytes))
            return true;
        full = errno == ENOSPC;
        close(fd);
    } while (full && evict_one(key));
    return false;
}

bool region_begin(struct region_draft *draft, size_t n_bytes, const struct region_key *key, struct percept_err *err)
{
    size_t map_bytes = n_bytes + HEADER_BYTES;
    if (map_bytes < n_bytes || beyond_machine(map_bytes))
        return err_memory(err, "packed weights", n_bytes);
    *draft = (struct region_draft){.fd = -1, .n_bytes = n_bytes, .named = key != NULL};
    if (key && begin_named(draft, map_bytes, key))
        return true;
    draft->named = false;
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
    header->form = FORM;
    header->n_bytes = draft->n_bytes;
    memcpy(header->digest, key->digest, sizeof header->digest);
    snprintf(header->level, sizeof header->level, "%s", key->level);
    copy_tail(header->model, sizeof header->model, key->model);
    snprintf(header->build, sizeof header->build, "%s", key->build ? key->build : "");
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
        return err_null(err, ERR_SYSTEM, "cannot map %zu bytes of packed weights: %s", map_bytes, strerror(errno));
    struct region *region = region_new(map, map_bytes, -1, "", "");
    if (!region) {
        munmap(map, map_bytes);
        err_memory(err, "a region", sizeof *region);
    }
    return region;
}

/* The same bytes in private memory, for when a name cannot be had after all. */
static bool draft_copy_private(const struct region_draft *from, struct region_draft *to)
{
    if (!region_begin(to, from->n_bytes, NULL, NULL))
        return false;
    memcpy(to->map, from->map, from->map_bytes);
    return true;
}

struct region *region_publish(struct region_draft *draft, const struct region_key *key, struct percept_err *err)
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
        err_set(err, ERR_MEMORY, "packed weights (%zu bytes) fit neither " FOLDER " nor private memory", named.n_bytes);
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

static void mark(int fd)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    if (futimens(fd, times) == 0)
        (void)fchmod(fd, 0400 | KEPT);
}

/* Removes a kept object that `user`'s replaces. */
static int remove_replaced(void *user, int fd, const char *name)
{
    const struct region *region = user;
    const struct header *own = (const void *)region->map;
    struct header header;
    struct stat st;
    if (strcmp(name, region->name) == 0 || strcmp(name, region->note_name) == 0 || fstat(fd, &st) != 0 ||
        !is_kept(&st, -1) || !(read_header(fd, &header) || read_header_of(fd, NOTE_MAGIC, &header)))
        return 0;
    bool same_file = strcmp(header.model, own->model) == 0 && strcmp(header.level, own->level) == 0;
    bool other_build = is_foreign(&header, own->build);
    return (same_file || other_build) && remove_if_alone(fd, name, 0);
}

void region_keep(struct region *region)
{
    if (!region || region->fd < 0)
        return;
    region->kept = true;
    mark(region->fd);
    if (region->note >= 0)
        mark(region->note);
    for_each(region->prefix, remove_replaced, region);
}

/* --- notes -------------------------------------------------------------------------------------------------------- */

static void make_note_name(char *name, size_t n, const char *prefix, const struct file_stamp *stamp)
{
    snprintf(name, n, "%s-%u-file-%llx-%llx", prefix ? prefix : DEFAULT_PREFIX, (unsigned)geteuid(),
             (unsigned long long)stamp->device, (unsigned long long)stamp->inode);
}

static bool same_stamp(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

static bool is_at_rest(const struct region_note *note)
{
    const struct file_stamp *stamp = &note->stamp;
    const int64_t newest = stamp->mtime_ns > stamp->ctime_ns ? stamp->mtime_ns : stamp->ctime_ns;
    int64_t rest;
    return !__builtin_sub_overflow(note->looked_ns, newest, &rest) && rest >= NOTE_REST_NS;
}

/* The note that is there under this name, held with LOCK_SH: its descriptor, or -1. */
static int find_note(const char *name, const struct file_stamp *stamp, struct region_note *note)
{
    char path[128];
    struct noted noted;
    struct stat st;
    make_path(path, sizeof path, name);
    int fd = open(path, LOOK_FLAGS);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_SH | LOCK_NB) == 0 && fstat(fd, &st) == 0 && trusted(&st) && st.st_size == sizeof noted &&
        pread(fd, &noted, sizeof noted, 0) == (ssize_t)sizeof noted &&
        memcmp(noted.header.magic, NOTE_MAGIC, sizeof noted.header.magic) == 0 && noted.header.form == FORM &&
        same_stamp(&noted.note.stamp, stamp) && is_at_rest(&noted.note)) {
        *note = noted.note;
        return fd;
    }
    close(fd);
    return -1;
}

bool region_recall(const char *prefix, struct region_note *note)
{
    char name[80];
    struct region_note found;
    make_note_name(name, sizeof name, prefix, &note->stamp);
    int fd = find_note(name, &note->stamp, &found);
    if (fd < 0)
        return false;
    close(fd);
    *note = found;
    return true;
}

/* A new note under this name, in the place of whatever of ours has it; its descriptor, or -1. */
static int make_note(const char *name, const struct region *region, const struct region_note *note)
{
    char path[128], self[64];
    struct noted noted = {.note = *note};
    struct stat st;
    memcpy(&noted.header, region->map, sizeof noted.header);
    memcpy(noted.header.magic, NOTE_MAGIC, sizeof noted.header.magic);
    make_path(path, sizeof path, name);
    int fd = open(FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
    if (fd < 0)
        return -1;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (fchmod(fd, 0400) == 0 && pwrite(fd, &noted, sizeof noted, 0) == (ssize_t)sizeof noted &&
        flock(fd, LOCK_SH | LOCK_NB) == 0) {
        if (lstat(path, &st) == 0 && trusted(&st))
            (void)unlink(path);
        if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
            return fd;
    }
    close(fd);
    return -1;
}

void region_remember(struct region *region, const struct region_note *note)
{
    struct region_note found;
    if (!region || region->fd < 0 || region->note >= 0 || !is_at_rest(note))
        return;
    make_note_name(region->note_name, sizeof region->note_name, region->prefix, &note->stamp);
    region->note = find_note(region->note_name, &note->stamp, &found);
    if (region->note >= 0 && memcmp(found.digest, note->digest, sizeof found.digest) == 0)
        return;
    if (region->note >= 0)
        close(region->note);
    region->note = make_note(region->note_name, region, note);
}

/* --- letting go --------------------------------------------------------------------------------------------------- */

static void let_go(int fd, const char *name, bool kept)
{
    if (fd < 0)
        return;
    if (kept)
        mark(fd); /* its age counts from now */
    remove_if_alone(fd, name, -1);
    close(fd);
}

void region_release(struct region *region)
{
    if (!region)
        return;
    munmap((void *)(uintptr_t)region->map, region->map_bytes);
    let_go(region->fd, region->name, region->kept);
    let_go(region->note, region->note_name, region->kept);
    arena_buffer_free(region);
}

/* Notes go as well, but nobody counts them. */
static int clean_one(void *user, int fd, const char *name)
{
    struct header header;
    const bool note = read_header_of(fd, NOTE_MAGIC, &header);
    return remove_if_alone(fd, name, *(const int64_t *)user) && !note;
}

int percept_clean_regions(const char *prefix, int64_t keep_seconds)
{
    return for_each(prefix, clean_one, &keep_seconds);
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
    if (listing->n >= listing->n_max || fstat(fd, &st) != 0 || !read_header(fd, &header))
        return 0;
    struct percept_region_info *info = &listing->infos[listing->n++];
    *info = (struct percept_region_info){.n_bytes = (size_t)header.n_bytes};
    info->kept_since = is_kept(&st, -1) ? st.st_mtim.tv_sec : 0;
    snprintf(info->name, sizeof info->name, "%s", name);
    snprintf(info->level, sizeof info->level, "%s", header.level);
    snprintf(info->model, sizeof info->model, "%s", header.model);
    find_holders(&st, info);
    return 1;
}

int percept_list_regions(const char *prefix, struct percept_region_info *infos, int n_max)
{
    struct listing listing = {.infos = infos, .n_max = n_max};
    return for_each(prefix, list_one, &listing);
}
