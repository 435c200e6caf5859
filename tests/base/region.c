/* Regions: published once, shared, adopted after a crash, cleaned up, never trusted blindly. */
#include "base/region.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char prefix[40];

static void setup(void)
{
    snprintf(prefix, sizeof prefix, "percept-test-%d", (int)getpid());
}

static void teardown(void)
{
    percept_clean_regions(prefix, 0);
}

static struct region_key key_of(uint8_t id)
{
    struct region_key key = {.prefix = prefix, .level = "base", .model = "some/model.onnx"};
    memset(key.digest, id, sizeof key.digest);
    return key;
}

static struct region *publish_as(struct region_key key, size_t n_bytes, bool named)
{
    uint8_t id = key.digest[0];
    struct region_draft draft;
    struct percept_err err = {0};
    ck_assert_msg(region_begin(&draft, n_bytes, named ? &key : NULL, &err), "%s", err.text);
    ck_assert_uint_eq((uintptr_t)draft.data % 64, 0);
    memset(draft.data, id, n_bytes);
    struct region *region = region_publish(&draft, &key, &err);
    ck_assert_msg(region != NULL, "%s", err.text);
    return region;
}

static struct region *publish(uint8_t id, size_t n_bytes, bool named)
{
    return publish_as(key_of(id), n_bytes, named);
}

static int count(void)
{
    struct percept_region_info infos[8];
    return percept_list_regions(prefix, infos, 8);
}

START_TEST(what_is_published_is_found_and_shared)
{
    struct region *mine = publish(1, 100000, true);
    ck_assert_str_ne(region_name(mine), "");
    struct region_key key = key_of(1);
    struct region *same = region_find(&key, 100000);
    ck_assert_ptr_nonnull(same);
    ck_assert_int_eq(memcmp(region_data(mine), region_data(same), 100000), 0);
    ck_assert_int_eq(((const uint8_t *)region_data(same))[99999], 1);
    ck_assert_int_eq(count(), 1);
    region_release(same);
    ck_assert_int_eq(count(), 1);
    region_release(mine);
    ck_assert_int_eq(count(), 0);
}
END_TEST

START_TEST(another_size_or_digest_is_not_found)
{
    struct region *mine = publish(1, 5000, true);
    struct region_key key = key_of(1), other = key_of(2);
    ck_assert_ptr_null(region_find(&key, 5001));
    ck_assert_ptr_null(region_find(&other, 5000));
    region_release(mine);
}
END_TEST

/* What the file of this region has at `at` becomes `value`; what it was. */
static uint8_t damage(const struct region *region, off_t at, uint8_t value)
{
    char path[128];
    uint8_t before;
    snprintf(path, sizeof path, "/dev/shm/%s", region_name(region));
    ck_assert_int_eq(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, &before, 1, at), 1);
    ck_assert_int_eq(pwrite(fd, &value, 1, at), 1);
    ck_assert_int_eq(fchmod(fd, 0400), 0);
    close(fd);
    return before;
}

enum { FORM_AT = 224, ROOM_AT = 228, HEADER_END = 4096 };

START_TEST(another_form_or_a_word_in_its_room_is_not_adopted)
{
    struct region *mine = publish(1, 5000, true);
    const struct region_key key = key_of(1);
    const off_t places[] = {0, FORM_AT, FORM_AT + 3, ROOM_AT, HEADER_END - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const uint8_t before = damage(mine, places[i], 77);
        ck_assert_msg(!region_find(&key, 5000), "adopted with a 77 at %d", (int)places[i]);
        damage(mine, places[i], before);
        struct region *same = region_find(&key, 5000);
        ck_assert_ptr_nonnull(same);
        region_release(same);
    }
    region_release(mine);
}
END_TEST

START_TEST(a_kept_one_of_another_form_makes_way)
{
    struct region_key key = key_of(1);
    key.model = "another/model.onnx";
    struct region *old = publish_as(key, 5000, true);
    damage(old, FORM_AT, 0);
    ck_assert_int_eq(count(), 1);
    region_keep(old);
    region_release(old);
    ck_assert_int_eq(count(), 1);
    struct region *mine = publish(2, 5000, true);
    region_keep(mine);
    ck_assert_int_eq(count(), 1);
    region_release(mine);
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 1);
}
END_TEST

/* Whoever writes to it ends. */
static void expect_sealed(const struct region *region)
{
    pid_t child = fork();
    if (child == 0) {
        *(volatile char *)(uintptr_t)region_data(region) = 1;
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

/* Not through /proc either, where root finds what is mapped: neither written nor cut off nor given other rights. */
static void expect_seals(const struct region *region)
{
    char line[256], path[128] = "";
    unsigned long from, to;
    FILE *maps = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && (uintptr_t)region_data(region) - from < to - from)
            snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", from, to);
    fclose(maps);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        printf("not run: the seals of private memory (this user may not open %s)\n", path);
        return;
    }
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    close(fd);
}

START_TEST(published_memory_cannot_be_written)
{
    struct region *mine = publish(3, 5000, true);
    expect_sealed(mine);
    region_release(mine);
    struct region *private_one = publish(3, 5000, false);
    ck_assert_str_eq(region_name(private_one), "");
    ck_assert_int_eq(mprotect((void *)(uintptr_t)((const char *)region_data(private_one) - 4096), 4096, PROT_READ), 0);
    region_release(private_one);
}
END_TEST

/* The child publishes and dies without letting go. */
static void crash_holding(uint8_t id)
{
    pid_t child = fork();
    if (child == 0) {
        publish(id, 7000, true);
        kill(getpid(), SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert(WIFSIGNALED(status));
}

START_TEST(a_crash_leaves_an_orphan_that_the_same_model_adopts)
{
    crash_holding(4);
    struct percept_region_info info;
    ck_assert_int_eq(percept_list_regions(prefix, &info, 1), 1);
    ck_assert_int_eq(info.n_holders, 0);
    struct region_key key = key_of(4);
    struct region *adopted = region_find(&key, 7000);
    ck_assert_ptr_nonnull(adopted);
    ck_assert_int_eq(percept_clean_regions(prefix, -1), 0);
    ck_assert_int_eq(percept_list_regions(prefix, &info, 1), 1);
    ck_assert_int_eq(info.n_holders, 1);
    ck_assert_int_eq(info.holders[0], (int)getpid());
    ck_assert_str_eq(info.model, "some/model.onnx");
    ck_assert_str_eq(info.level, "base");
    region_release(adopted);
    ck_assert_int_eq(count(), 0);
}
END_TEST

START_TEST(cleaning_removes_orphans_and_spares_what_is_held)
{
    crash_holding(5);
    struct region *held = publish(6, 3000, true);
    ck_assert_int_eq(count(), 2);
    ck_assert_int_eq(percept_clean_regions(prefix, -1), 1);
    ck_assert_int_eq(count(), 1);
    region_release(held);
}
END_TEST

START_TEST(the_second_publisher_gets_the_first_ones_region)
{
    struct region *first = publish(7, 4096, true);
    struct region *second = publish(7, 4096, true);
    ck_assert_str_eq(region_name(first), region_name(second));
    ck_assert_int_eq(count(), 1);
    region_release(first);
    ck_assert_int_eq(count(), 1);
    region_release(second);
    ck_assert_int_eq(count(), 0);
}
END_TEST

/* An object under our name with another mode, another link or other content is not believed. */
START_TEST(a_forged_region_is_not_believed)
{
    struct region *mine = publish(8, 4096, true);
    char path[160], other[170];
    snprintf(path, sizeof path, "/dev/shm/%s", region_name(mine));
    snprintf(other, sizeof other, "%s-link", path);
    struct region_key key = key_of(8);
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_ptr_null(region_find(&key, 4096));
    ck_assert_int_eq(chmod(path, 0400), 0);
    ck_assert_int_eq(link(path, other), 0);
    ck_assert_ptr_null(region_find(&key, 4096));
    ck_assert_int_eq(unlink(other), 0);
    region_release(mine);
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0400);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 8192), 0);
    ck_assert_ptr_null(region_find(&key, 4096));
    /* a publisher whose name is taken by a forgery still serves, privately */
    struct region *again = publish(8, 4096, true);
    ck_assert_str_eq(region_name(again), "");
    ck_assert_int_eq(((const uint8_t *)region_data(again))[4095], 8);
    region_release(again);
    close(fd);
    unlink(path);
}
END_TEST

static struct region_key key_of_file(uint8_t id, const char *model, const char *build)
{
    struct region_key key = key_of(id);
    key.model = model;
    key.build = build;
    return key;
}

static void publish_kept(struct region_key key)
{
    struct region *region = publish_as(key, 4096, true);
    region_keep(region);
    region_release(region);
}

static bool is_there(struct region_key key)
{
    struct region *region = region_find(&key, 4096);
    region_release(region); /* which leaves a kept one */
    return region != NULL;
}

/* time() may be a tick behind the clock of files. */
static int64_t now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

START_TEST(a_kept_region_outlives_its_holders_and_who_cleans)
{
    struct percept_region_info info;
    int64_t before = time(NULL);
    publish_kept(key_of(10));
    ck_assert_int_eq(percept_list_regions(prefix, &info, 1), 1);
    ck_assert_int_eq(info.n_holders, 0);
    ck_assert_int_ge(info.kept_since, before);
    ck_assert_int_le(info.kept_since, now_seconds());
    ck_assert(is_there(key_of(10))); /* a holder who does not keep it */
    struct region *other = publish(11, 4096, true);
    ck_assert_int_eq(percept_clean_regions(prefix, -1), 0);
    ck_assert_int_eq(percept_clean_regions(prefix, 3600), 0);
    region_release(other);
    ck_assert_int_eq(count(), 1);
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 1);
    ck_assert_int_eq(count(), 0);
}
END_TEST

/* The mark's time is set back, as if it had been made then. */
static void set_back(struct region_key key, int64_t seconds)
{
    struct region *region = region_find(&key, 4096);
    char path[160];
    ck_assert_ptr_nonnull(region);
    snprintf(path, sizeof path, "/dev/shm/%s", region_name(region));
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - seconds}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    region_release(region);
}

START_TEST(a_mark_holds_for_its_age_and_is_renewed)
{
    publish_kept(key_of(12));
    set_back(key_of(12), 5000);
    ck_assert_int_eq(percept_clean_regions(prefix, 6000), 0);
    struct region_key key = key_of(12);
    struct region *held = region_find(&key, 4096);
    ck_assert_int_eq(percept_clean_regions(prefix, 4000), 0); /* too old, and held */
    region_keep(held);
    set_back(key_of(12), 5000);
    region_release(held); /* its age counts from the last release */
    ck_assert_int_eq(percept_clean_regions(prefix, 4000), 0);
    set_back(key_of(12), 5000);
    ck_assert_int_eq(percept_clean_regions(prefix, 4000), 1);
    publish_kept(key_of(12));
    set_back(key_of(12), -5000); /* the clock was set back meanwhile: not old */
    ck_assert_int_eq(percept_clean_regions(prefix, 4000), 0);
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 1); /* all the same */
}
END_TEST

/* A holder who is killed leaves the mark; one who had not marked leaves an orphan as before. */
START_TEST(a_crash_leaves_the_mark)
{
    pid_t child = fork();
    if (child == 0) {
        region_keep(publish(13, 4096, true));
        publish(14, 4096, true);
        kill(getpid(), SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert_int_eq(count(), 2);
    ck_assert_int_eq(percept_clean_regions(prefix, 3600), 1);
    ck_assert(is_there(key_of(13)));
    ck_assert_int_eq(count(), 1);
}
END_TEST

START_TEST(one_marks_while_others_hold)
{
    struct region *mine = publish(15, 4096, true);
    struct region_key key = key_of(15);
    struct region *same = region_find(&key, 4096);
    region_keep(same);
    region_release(same);
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 0); /* held */
    region_release(mine);                                  /* the last, who did not mark */
    ck_assert(is_there(key_of(15)));
    region_keep(NULL);
    struct region *private_one = publish(16, 4096, false);
    region_keep(private_one);
    region_release(private_one);
    ck_assert_int_eq(count(), 1);
}
END_TEST

START_TEST(a_kept_region_replaces_those_of_its_file_and_of_other_builds)
{
    publish_kept(key_of_file(20, "a.onnx", "old"));
    publish_kept(key_of_file(21, "b.onnx", "old"));
    struct region *held = publish_as(key_of_file(22, "c.onnx", "old"), 4096, true);
    region_keep(held);
    ck_assert_int_eq(count(), 3); /* of one build they let each other be */
    publish_kept(key_of_file(23, "a.onnx", "old"));
    ck_assert(!is_there(key_of(20))); /* the file's older state */
    ck_assert(is_there(key_of(21)));
    ck_assert(is_there(key_of(23)));
    struct region *passing = publish_as(key_of_file(24, "a.onnx", "new"), 4096, true);
    ck_assert_int_eq(count(), 4); /* who does not keep replaces nothing */
    region_keep(passing);
    region_release(passing);
    ck_assert(!is_there(key_of(21)));
    ck_assert(!is_there(key_of(23)));
    ck_assert(is_there(key_of(24)));
    ck_assert_int_eq(count(), 2); /* and the one that is held */
    region_release(held);
}
END_TEST

/* Another model's user may be about to adopt what a crash left. */
START_TEST(what_is_not_marked_is_not_replaced)
{
    struct region *region = publish(71, 4096, true);
    crash_holding(70);
    region_keep(region);
    region_release(region);
    ck_assert_int_eq(count(), 2);
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 2);
}
END_TEST

/* A tmpfs of this many kilobytes on /dev/shm, for this process alone. */
static bool small_shm(int kilobytes)
{
    char options[40];
    snprintf(options, sizeof options, "size=%dk", kilobytes);
    bool forked = !getenv("CK_FORK") || strcmp(getenv("CK_FORK"), "no") != 0;
    if (forked && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("none", "/dev/shm", "tmpfs", 0, options) == 0)
        return true;
    printf("skipped: no file system of its own is allowed here\n");
    return false;
}

START_TEST(kept_regions_make_way_other_builds_first)
{
    if (!small_shm(80))
        return;
    const struct {
        uint8_t id;
        const char *build;
        int age;
    } kept[] = {{30, "this", 50}, {31, "this", 400}, {33, "this", 300}, {32, "that", 10}};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        char model[16];
        snprintf(model, sizeof model, "%d.onnx", kept[i].id);
        struct region *region = publish_as(key_of_file(kept[i].id, model, "this"), 4096, true);
        ck_assert_str_ne(region_name(region), "");
        region_keep(region);
        region_release(region);
        if (strcmp(kept[i].build, "this") != 0) { /* as another build would have written it */
            char path[160];
            struct region_key key = key_of(kept[i].id);
            region = region_find(&key, 4096);
            snprintf(path, sizeof path, "/dev/shm/%s", region_name(region));
            ck_assert_int_eq(chmod(path, 01600), 0);
            int fd = open(path, O_RDWR);
            ck_assert_int_eq(pwrite(fd, kept[i].build, 5, 8 + 8 + 16 + 16 + 160), 5);
            close(fd);
            ck_assert_int_eq(chmod(path, 01400), 0);
            region_release(region);
        }
        set_back(key_of(kept[i].id), kept[i].age);
    }
    struct region *held = publish(34, 4096, true); /* 40 of 80 KiB are taken */
    ck_assert_int_eq(count(), 5);
    struct region *big = publish_as(key_of_file(35, "35.onnx", "this"), 40000, true);
    ck_assert_str_ne(region_name(big), "");
    ck_assert(!is_there(key_of(32))); /* another build's, though the youngest */
    ck_assert(is_there(key_of(31)));
    struct region *more = publish_as(key_of_file(36, "36.onnx", "this"), 8192, true);
    ck_assert_str_ne(region_name(more), "");
    ck_assert(!is_there(key_of(31))); /* then the oldest */
    ck_assert(is_there(key_of(33)));
    ck_assert(is_there(key_of(30)));
    struct region *beyond = publish_as(key_of_file(37, "37.onnx", "this"), 40000, true);
    ck_assert_str_eq(region_name(beyond), ""); /* what is held stays; private, then */
    ck_assert_int_eq(count(), 3);
    region_release(beyond);
    region_release(more);
    region_release(big);
    region_release(held);
}
END_TEST

START_TEST(a_region_too_large_for_memory_is_refused_with_a_sentence)
{
    struct region_draft draft;
    struct percept_err err = {0};
    struct region_key key = key_of(9);
    ck_assert(!region_begin(&draft, (size_t)1 << 62, &key, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "bytes"));
}
END_TEST

static int descriptors(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(folder);
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

/* Mappings of this process whose line has this text. */
static int mappings(const char *part)
{
    static char line[512];
    int n = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps))
        n += strstr(line, part) != NULL;
    fclose(maps);
    return n;
}

START_TEST(nothing_is_left_open_or_mapped)
{
    const int before = descriptors();
    struct region_key key = key_of(40);
    for (int named = 0; named < 2; named++) {
        struct region *region = publish(40, 5000, named);
        ck_assert_int_eq(descriptors(), before + named); /* a private one needs none */
        ck_assert_int_eq(mappings(named ? prefix : "percept-weights"), 1);
        if (named) {
            struct region *other = region_find(&key, 5000);
            ck_assert_ptr_null(region_find(&key, 5001));
            region_release(publish(40, 5000, true)); /* another was faster */
            ck_assert_int_eq(mappings(prefix), 2);
            region_keep(region);
            ck_assert_int_eq(count(), 1);
            ck_assert_int_eq(percept_clean_regions(prefix, 0), 0);
            region_release(other);
        }
        region_release(region);
        ck_assert_int_eq(descriptors(), before);
        ck_assert_int_eq(mappings(prefix) + mappings("percept-weights"), 0);
    }
    region_release(NULL);
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 1);
}
END_TEST

/* Where standard input is closed the first descriptor is 0, which is one like any other. */
START_TEST(a_descriptor_of_zero_is_one)
{
    const int kept = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    const int before = descriptors();
    struct region *region = publish(63, 4096, true);
    ck_assert_str_ne(region_name(region), "");
    ck_assert_int_eq(count(), 1);
    region_keep(region);
    region_release(region);
    ck_assert(is_there(key_of(63)));
    ck_assert_int_eq(descriptors(), before);
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 1);
    region = publish(63, 4096, false);
    ck_assert_uint_eq(((const uint8_t *)region_data(region))[4095], 63);
    region_release(region);
    struct region_draft draft;
    ck_assert(region_begin(&draft, 4096, NULL, NULL));
    ck_assert_int_eq(draft.fd, 0);
    region_abandon(&draft);
    ck_assert_int_eq(descriptors(), before);
    if (kept >= 0)
        dup2(kept, STDIN_FILENO);
}
END_TEST

START_TEST(a_draft_that_is_given_up_leaves_nothing)
{
    const int before = descriptors();
    struct region_key key = key_of(41);
    for (int named = 0; named < 2; named++) {
        struct region_draft draft;
        struct percept_err err = {0};
        ck_assert(region_begin(&draft, 100000, named ? &key : NULL, &err));
        ck_assert(draft.named == (named == 1));
        ck_assert_uint_eq(draft.n_bytes, 100000);
        memset(draft.data, 1, draft.n_bytes);
        region_abandon(&draft);
        ck_assert_ptr_null(draft.map);
        ck_assert_int_eq(draft.fd, -1);
        region_abandon(&draft); /* is empty now */
        ck_assert_int_eq(descriptors(), before);
        ck_assert_int_eq(mappings("percept-weights") + mappings("/dev/shm/#"), 0);
    }
    ck_assert_int_eq(count(), 0);
}
END_TEST

START_TEST(a_region_has_a_name_that_tells_whose_it_is)
{
    char name[80];
    struct region *region = publish(0xa5, 5000, true);
    snprintf(name, sizeof name, "%s-%u-a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5", prefix, (unsigned)geteuid());
    ck_assert_str_eq(region_name(region), name);
    ck_assert_uint_eq(region_bytes(region), 5000);
    struct percept_region_info info;
    ck_assert_int_eq(percept_list_regions(prefix, &info, 1), 1);
    ck_assert_str_eq(info.name, name);
    ck_assert_uint_eq(info.n_bytes, 5000);
    ck_assert_int_eq(info.kept_since, 0);
    ck_assert_int_eq(info.n_holders, 1);
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0400);
    region_keep(region);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 01400);
    region_release(region);
    struct region_key key = key_of(0xa6);
    key.prefix = NULL; /* the program's own */
    region = publish_as(key, 5000, true);
    snprintf(name, sizeof name, "perceptd-%u-", (unsigned)geteuid());
    ck_assert_int_eq(strncmp(region_name(region), name, strlen(name)), 0);
    ck_assert_int_eq(count(), 1);
    region_release(region);
}
END_TEST

START_TEST(a_name_has_all_of_the_digest_behind_a_long_prefix)
{
    char longest[48];
    memset(longest, 'p', sizeof longest);
    const int room = 47 - snprintf(NULL, 0, "-%u-", (unsigned)geteuid());
    memcpy(longest, prefix, strlen(prefix));
    longest[room] = '\0';
    struct region_key key = key_of(0xa7);
    key.prefix = longest;
    struct region *region = publish_as(key, 5000, true);
    ck_assert_uint_eq(strlen(region_name(region)), 47 + 32);
    ck_assert_int_eq(percept_list_regions(longest, &(struct percept_region_info){0}, 1), 1);
    region_keep(region); /* it is found among those of its prefix */
    region_release(region);
    ck_assert_int_eq(percept_clean_regions(longest, 0), 1);
}
END_TEST

START_TEST(regions_of_other_prefixes_are_let_be)
{
    char longer[48], path[128];
    snprintf(longer, sizeof longer, "%s-x", prefix);
    publish_kept(key_of(42));
    struct region_key key = key_of(43);
    key.prefix = longer;
    publish_kept(key);
    ck_assert_int_eq(count(), 1);
    ck_assert_int_eq(percept_list_regions(longer, &(struct percept_region_info){0}, 1), 1);
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 1);
    ck_assert_int_eq(percept_list_regions(longer, &(struct percept_region_info){0}, 1), 1);
    ck_assert_int_eq(percept_clean_regions(longer, 0), 1);
    snprintf(path, sizeof path, "/dev/shm/%s-%u-link", prefix, (unsigned)geteuid());
    ck_assert_int_eq(symlink("/etc/passwd", path), 0); /* nor is what only has such a name */
    ck_assert_int_eq(percept_clean_regions(prefix, 0) + count(), 0);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* The end of a path says more than its beginning. */
START_TEST(long_names_of_models_are_cut_in_front)
{
    char model[300];
    struct percept_region_info info;
    for (size_t n = 158; n < 162; n++) {
        for (size_t i = 0; i < n; i++)
            model[i] = (char)('a' + i % 26);
        model[n] = '\0';
        struct region_key key = key_of(44);
        key.model = model;
        struct region *region = publish_as(key, 5000, true);
        ck_assert_int_eq(percept_list_regions(prefix, &info, 1), 1);
        const size_t room = 159 < sizeof info.model - 1 ? 159 : sizeof info.model - 1;
        ck_assert_str_eq(info.model, n <= room ? model : model + n - room);
        region_release(region);
    }
}
END_TEST

/* Writes into the header of an object that nobody holds, as only its owner could. */
static void overwrite(uint8_t id, off_t offset, const void *bytes, size_t n)
{
    struct region_key key = key_of(id);
    struct region *region = region_find(&key, 4096);
    char path[160];
    ck_assert_ptr_nonnull(region);
    snprintf(path, sizeof path, "/dev/shm/%s", region_name(region));
    ck_assert_int_eq(chmod(path, 01600), 0);
    int fd = open(path, O_RDWR);
    ck_assert_int_eq(pwrite(fd, bytes, n, offset), (ssize_t)n);
    close(fd);
    ck_assert_int_eq(chmod(path, 01400), 0);
    region_release(region);
}

START_TEST(each_part_of_a_header_is_judged)
{
    static const off_t offsets[] = {7, 8, 31}; /* magic, size, digest */
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        const int before = descriptors();
        publish_kept(key_of(45));
        ck_assert(is_there(key_of(45)));
        overwrite(45, offsets[i], "?", 1);
        ck_assert(!is_there(key_of(45)));
        ck_assert_int_eq(count(), i ? 1 : 0); /* what has no magic is none of ours */
        ck_assert_int_eq(descriptors(), before);
        ck_assert_int_eq(mappings(prefix), 0);
        ck_assert_int_eq(percept_clean_regions(prefix, 0), 1);
    }
}
END_TEST

/* Path of an object of 8192 bytes with our name that some test makes in its own way. */
static const char *own_path(uint8_t id)
{
    static char path[160];
    int at = snprintf(path, sizeof path, "/dev/shm/%s-%u-", prefix, (unsigned)geteuid());
    for (int i = 0; i < 16; i++)
        at += snprintf(path + at, sizeof path - (size_t)at, "%02x", id);
    return path;
}

START_TEST(only_regular_files_of_ours_are_believed)
{
    static const struct {
        mode_t mode;
        off_t size;
        bool believed;
    } files[] = {{0400, 8192, true},  {01400, 8192, true}, {0600, 8192, false},
                 {0440, 8192, false}, {0404, 8192, false}, {02400, 8192, false},
                 {0, 8192, false},    {0400, 4096, false}, {0400, 4097, true}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const int fd = open(own_path(46), O_CREAT | O_EXCL | O_RDWR, 0400);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(pwrite(fd, "percept1", 8, 0), 8);
        ck_assert_int_eq(ftruncate(fd, files[i].size), 0);
        ck_assert_int_eq(fchmod(fd, files[i].mode), 0);
        close(fd);
        ck_assert_int_eq(count(), files[i].believed);
        ck_assert_int_eq(percept_clean_regions(prefix, 0), files[i].believed);
        ck_assert_int_eq(access(own_path(46), F_OK), files[i].believed ? -1 : 0);
        unlink(own_path(46));
    }
    ck_assert_int_eq(mkdir(own_path(46), 0400), 0);
    ck_assert_int_eq(count() + percept_clean_regions(prefix, 0), 0);
    ck_assert_int_eq(rmdir(own_path(46)), 0);
}
END_TEST

/* /dev/shm is everybody's: a pipe under our name, which opening would wait at for ever, keeps nobody. */
START_TEST(a_pipe_under_our_name_is_not_waited_at)
{
    struct region_key key = key_of(61);
    ck_assert_int_eq(mkfifo(own_path(61), 0444), 0);
    ck_assert_int_eq(count(), 0);
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 0);
    ck_assert_ptr_null(region_find(&key, 4096));
    struct region *region = publish(61, 4096, true);
    ck_assert_str_eq(region_name(region), "");
    region_release(region);
    ck_assert_int_eq(unlink(own_path(61)), 0);
}
END_TEST

START_TEST(texts_of_a_header_are_ended_when_they_are_listed)
{
    char xs[160];
    struct percept_region_info info;
    memset(xs, 'x', sizeof xs);
    publish_kept(key_of(47));
    overwrite(47, 32, xs, 16);
    overwrite(47, 48, xs, 160);
    overwrite(47, 208, xs, 16);
    ck_assert_int_eq(percept_list_regions(prefix, &info, 1), 1);
    ck_assert_uint_eq(strlen(info.level), 15);
    ck_assert_uint_eq(strlen(info.model), sizeof info.model - 1 < 159 ? sizeof info.model - 1 : 159);
    char model[200] = {0};
    memset(model, 'x', sizeof model - 1);
    struct region_key key = key_of_file(62, model, "xxxxxxxxxxxxxxx");
    key.level = "xxxxxxxxxxxxxxx";
    publish_kept(key); /* and when they are compared: it is of the same file */
    ck_assert(!is_there(key_of(47)));
}
END_TEST

START_TEST(builds_are_compared_to_their_last_letter)
{
    static const char *const builds[] = {"0123456789abcde", "0123456789abcde", "0123456789abcdX"};
    for (uint8_t i = 0; i < 3; i++) {
        char model[8];
        snprintf(model, sizeof model, "%d", i);
        publish_kept(key_of_file((uint8_t)(64 + i), model, builds[i]));
        ck_assert_int_eq(count(), i == 1 ? 2 : 1); /* another build's make way */
    }
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 1);
}
END_TEST

START_TEST(no_more_are_listed_than_there_is_room_for)
{
    struct region *held[4];
    struct percept_region_info infos[4];
    for (uint8_t i = 0; i < 4; i++)
        held[i] = publish((uint8_t)(48 + i), 4096, true);
    memset(infos, 0x77, sizeof infos);
    ck_assert_int_eq(percept_list_regions(prefix, infos, 0), 0);
    ck_assert_int_eq(percept_list_regions(prefix, infos, 3), 3);
    ck_assert_int_eq(infos[3].name[0], 0x77);
    ck_assert_int_eq(percept_list_regions(prefix, infos, 4), 4);
    for (int i = 0; i < 4; i++)
        region_release(held[i]);
}
END_TEST

START_TEST(all_holders_are_counted)
{
    struct percept_region_info info;
    const int room = (int)(sizeof info.holders / sizeof *info.holders);
    struct region *first = publish(52, 4096, true);
    struct region_key key = key_of(52);
    struct region *others[40];
    ck_assert_int_le(room, 38);
    for (int n = 1; n <= room + 2; n++) {
        ck_assert_int_eq(percept_list_regions(prefix, &info, 1), 1);
        ck_assert_int_eq(info.n_holders, n);
        ck_assert_int_eq(info.holders[(n < room ? n : room) - 1], (int)getpid());
        others[n] = region_find(&key, 4096);
    }
    for (int n = 1; n <= room + 2; n++)
        region_release(others[n]);
    ck_assert_int_eq(count(), 1);
    region_release(first);
}
END_TEST

START_TEST(ages_count_in_seconds_and_end_when_they_are_reached)
{
    publish_kept(key_of(53));
    set_back(key_of(53), 100);
    ck_assert_int_eq(percept_clean_regions(prefix, 105), 0);
    ck_assert_int_eq(percept_clean_regions(prefix, -1), 0);
    ck_assert_int_eq(percept_clean_regions(prefix, 100), 1); /* a hundred and whatever has passed since */
    publish_kept(key_of(53));
    set_back(key_of(53), 100);
    ck_assert_int_eq(percept_clean_regions(prefix, 1), 1);
    publish_kept(key_of(53));
    ck_assert_int_eq(percept_clean_regions(prefix, 60), 0);
}
END_TEST

START_TEST(a_private_region_cannot_change_and_dies_with_us)
{
    struct region *region = publish(54, 5000, false);
    ck_assert_uint_eq(region_bytes(region), 5000);
    for (size_t i = 0; i < 5000; i++)
        ck_assert_uint_eq(((const uint8_t *)region_data(region))[i], 54);
    expect_sealed(region);
    expect_seals(region);
    ck_assert_int_eq(count(), 0);
    region_release(region);
}
END_TEST

START_TEST(where_there_is_no_room_memory_is_private_and_the_same)
{
    if (!small_shm(40))
        return;
    const int before = descriptors();
    struct region_key key = key_of(55);
    struct region_draft draft;
    struct percept_err err = {0};
    ck_assert(region_begin(&draft, 100000, &key, &err));
    ck_assert(!draft.named);
    memset(draft.data, 55, 100000);
    struct region *region = region_publish(&draft, &key, &err);
    ck_assert_str_eq(region_name(region), "");
    ck_assert_uint_eq(((const uint8_t *)region_data(region))[99999], 55);
    region_release(region);
    ck_assert_int_eq(descriptors(), before);
    region = publish(55, 30000, true); /* what fits has a name */
    ck_assert_str_ne(region_name(region), "");
    region_release(region);
}
END_TEST

/* Of one second the earlier nanosecond goes first; what somebody holds is passed by. */
START_TEST(the_oldest_that_nobody_holds_makes_way)
{
    if (!small_shm(40))
        return;
    static const long ns[] = {500, 300, 400};
    const time_t then = time(NULL) - 100;
    struct region *held = NULL;
    for (uint8_t i = 0; i < 3; i++) {
        char model[8];
        snprintf(model, sizeof model, "%d", i);
        struct region *region = publish_as(key_of_file((uint8_t)(56 + i), model, "this"), 4096, true);
        region_keep(region);
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = then, .tv_nsec = ns[i]}};
        char path[160];
        snprintf(path, sizeof path, "/dev/shm/%s", region_name(region));
        if (i == 1)
            held = region;
        else
            region_release(region);
        ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    }
    struct region *big = publish_as(key_of_file(60, "big", "this"), 4096 * 4, true); /* 3 x 8 KiB are taken */
    ck_assert_str_ne(region_name(big), "");
    ck_assert(is_there(key_of(56)));
    ck_assert(is_there(key_of(57)));
    ck_assert(!is_there(key_of(58))); /* the oldest but the one that is held */
    region_release(big);
    region_release(held);
}
END_TEST

/* --- notes -------------------------------------------------------------------------------------------------------- */

static struct region_note note_of(uint8_t id)
{
    struct region_note note = {.stamp = {5, 6, 7, 8000000000, 9000000000}, .looked_ns = 11000000000};
    memset(note.digest, id, sizeof note.digest);
    return note;
}

static bool recalled(struct region_note asked, uint8_t id)
{
    const struct region_note want = note_of(id);
    memset(asked.digest, 0, sizeof asked.digest);
    asked.looked_ns = 0;
    return region_recall(prefix, &asked) && memcmp(asked.digest, want.digest, sizeof want.digest) == 0;
}

static const char *note_path(void)
{
    static char path[120];
    snprintf(path, sizeof path, "/dev/shm/%s-%u-file-5-6", prefix, (unsigned)geteuid());
    return path;
}

START_TEST(a_note_lives_as_long_as_its_region)
{
    const struct region_note note = note_of(3);
    struct region *one = publish(1, 100, true), *two = publish(1, 100, true);
    ck_assert(!recalled(note, 3));
    struct stat first, second;
    region_remember(one, &note);
    ck_assert_int_eq(stat(note_path(), &first), 0);
    region_remember(two, &note);
    region_remember(NULL, &note);
    ck_assert_int_eq(stat(note_path(), &second), 0);
    ck_assert_uint_eq(first.st_ino, second.st_ino); /* what is written already is not written again */
    ck_assert(recalled(note, 3));
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 0);
    ck_assert_int_eq(count(), 1);
    region_release(one);
    ck_assert(recalled(note, 3));
    region_release(two);
    ck_assert(!recalled(note, 3));
    ck_assert_int_eq(access(note_path(), F_OK), -1);
    struct region *private = publish(1, 100, false);
    region_remember(private, &note);
    ck_assert(!recalled(note, 3));
    region_release(private);
}
END_TEST

START_TEST(a_note_is_kept_with_its_region_and_cleaned_with_it)
{
    const struct region_note note = note_of(3);
    struct region *region = publish(1, 100, true);
    region_remember(region, &note);
    region_keep(region);
    region_release(region);
    ck_assert(recalled(note, 3));
    ck_assert_int_eq(percept_clean_regions(prefix, -1), 0);
    ck_assert(recalled(note, 3));
    ck_assert_int_eq(percept_clean_regions(prefix, 0), 1);
    ck_assert(!recalled(note, 3));
}
END_TEST

START_TEST(a_note_of_a_replaced_file_goes_with_its_region)
{
    struct region_note old = note_of(3), other = note_of(4);
    struct region *region = publish(1, 100, true);
    region_remember(region, &old);
    region_keep(region);
    region_release(region);
    other.stamp.inode = 77;
    region = publish(2, 100, true);
    region_remember(region, &other);
    region_keep(region);
    ck_assert(!recalled(old, 3));
    ck_assert(recalled(other, 4));
    region_release(region);
}
END_TEST

START_TEST(a_note_is_true_for_one_stamp_of_a_file_at_rest)
{
    static const int64_t second = 1000000000;
    struct region *region = publish(1, 100, true);
    struct region_note wrong[5];
    for (int i = 0; i < 5; i++)
        wrong[i] = note_of(3);
    wrong[0].looked_ns--;                  /* changed less than two seconds before */
    wrong[1].stamp.mtime_ns = 12 * second; /* after it was looked at: a clock was set back */
    wrong[2].stamp.ctime_ns = INT64_MAX;   /* or stands at the end of time */
    wrong[3].looked_ns = INT64_MIN;
    wrong[4].stamp.mtime_ns = INT64_MIN;
    wrong[4].looked_ns = 9 * second;
    for (int i = 0; i < 5; i++) {
        region_remember(region, &wrong[i]);
        ck_assert_int_eq(access(note_path(), F_OK), -1);
    }
    const struct region_note note = note_of(3);
    region_remember(region, &note);
    ck_assert(recalled(note, 3));
    struct region_note asked[5] = {note, note, note, note, note};
    asked[0].stamp.size++;
    asked[1].stamp.mtime_ns++;
    asked[2].stamp.ctime_ns--;
    asked[3].stamp.inode++;
    asked[4].stamp.device++;
    for (int i = 0; i < 5; i++)
        ck_assert_msg(!recalled(asked[i], 3), "%d", i);
    region_release(region);
}
END_TEST

/* Another state of the file takes the note's place, whoever holds the one before. */
START_TEST(a_newer_note_replaces_an_older_one)
{
    struct region_note old = note_of(3), new = note_of(4);
    new.stamp.size++;
    struct region *one = publish(1, 100, true), *two = publish(2, 100, true);
    region_remember(one, &old);
    region_remember(two, &new);
    ck_assert(!recalled(old, 3));
    ck_assert(recalled(new, 4));
    region_release(one);
    ck_assert(recalled(new, 4));
    region_release(two);
    ck_assert_int_eq(access(note_path(), F_OK), -1);
}
END_TEST

/* The older one is let go of, whichever number it was opened under. */
START_TEST(a_replaced_note_is_not_left_open)
{
    struct region_note old = note_of(3), new = note_of(4);
    struct region *one = publish(1, 100, true), *two = publish(2, 100, true);
    region_remember(one, &old);
    const int kept = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    const int before = descriptors();
    region_remember(two, &new);
    ck_assert_int_eq(descriptors(), before + 1);
    region_release(two);
    region_release(one);
    ck_assert_int_eq(descriptors(), before - 3); /* two regions and a note */
    if (kept >= 0)
        dup2(kept, STDIN_FILENO);
}
END_TEST

/* A region holds one note, whose descriptor may be 0 where standard input is closed. */
START_TEST(a_region_holds_one_note)
{
    const struct region_note note = note_of(3);
    const int kept = dup(STDIN_FILENO);
    struct region *region = publish(1, 100, true);
    close(STDIN_FILENO);
    const int before = descriptors();
    for (int i = 0; i < 3; i++) {
        region_remember(region, &note);
        ck_assert_int_eq(descriptors(), before + 1);
        ck_assert_int_ge(fcntl(STDIN_FILENO, F_GETFD), 0);
    }
    region_release(region);
    ck_assert_int_eq(descriptors(), before - 1);
    if (kept >= 0)
        dup2(kept, STDIN_FILENO);
}
END_TEST

/* Changes one byte of the note, or its length; who may write it is us alone. */
static void spoil(int64_t at, size_t n_bytes)
{
    ck_assert_int_eq(chmod(note_path(), 0600), 0);
    int fd = open(note_path(), O_RDWR);
    uint8_t byte = 0;
    ck_assert_int_ge(fd, 0);
    if (at >= 0) {
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        byte ^= 0x55;
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    } else {
        ck_assert_int_eq(ftruncate(fd, (off_t)n_bytes), 0);
    }
    ck_assert_int_eq(fchmod(fd, 0400), 0);
    close(fd);
}

/* Cut short, too long, of another kind, of another form, with another stamp in it, of a mode that is not ours; and the
 * next who knows better writes it anew. */
START_TEST(a_note_that_is_damaged_is_none)
{
    const struct region_note note = note_of(3);
    enum { whole = 4096 + sizeof note };
    static const struct {
        int64_t at;
        size_t n_bytes;
    } cases[] = {{-1, 0},  {-1, 100}, {-1, 4096}, {-1, whole - 1}, {-1, whole + 1}, {0, 0},   {7, 0},
                 {224, 0}, {4096, 0}, {4104, 0},  {4112, 0},       {4120, 0},       {4128, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct region *region = publish(1, 100, true);
        region_remember(region, &note);
        ck_assert(recalled(note, 3));
        spoil(cases[i].at, cases[i].n_bytes);
        ck_assert_msg(!recalled(note, 3), "case %zu", i);
        struct region *next = publish(1, 100, true);
        region_remember(next, &note);
        const bool ours = cases[i].at >= 0 || cases[i].n_bytes > 4096; /* what is not is left alone */
        ck_assert_msg(recalled(note, 3) == ours, "case %zu", i);
        region_release(next);
        region_release(region);
        unlink(note_path());
    }
    struct region *region = publish(1, 100, true);
    region_remember(region, &note);
    ck_assert_int_eq(chmod(note_path(), 0440), 0);
    ck_assert(!recalled(note, 3));
    unlink(note_path());
    ck_assert_int_eq(symlink("/etc/passwd", note_path()), 0);
    ck_assert(!recalled(note, 3));
    region_release(region);
    unlink(note_path());
}
END_TEST

Suite *base_region_suite(void);
Suite *base_region_suite(void)
{
    Suite *suite = suite_create("base_region");
    TCase *tests = tcase_create("region");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_published_is_found_and_shared);
    tcase_add_test(tests, another_size_or_digest_is_not_found);
    tcase_add_test(tests, another_form_or_a_word_in_its_room_is_not_adopted);
    tcase_add_test(tests, a_kept_one_of_another_form_makes_way);
    tcase_add_test(tests, published_memory_cannot_be_written);
    tcase_add_test(tests, a_crash_leaves_an_orphan_that_the_same_model_adopts);
    tcase_add_test(tests, cleaning_removes_orphans_and_spares_what_is_held);
    tcase_add_test(tests, the_second_publisher_gets_the_first_ones_region);
    tcase_add_test(tests, a_forged_region_is_not_believed);
    tcase_add_test(tests, a_kept_region_outlives_its_holders_and_who_cleans);
    tcase_add_test(tests, a_mark_holds_for_its_age_and_is_renewed);
    tcase_add_test(tests, a_crash_leaves_the_mark);
    tcase_add_test(tests, one_marks_while_others_hold);
    tcase_add_test(tests, a_kept_region_replaces_those_of_its_file_and_of_other_builds);
    tcase_add_test(tests, what_is_not_marked_is_not_replaced);
    tcase_add_test(tests, kept_regions_make_way_other_builds_first);
    tcase_add_test(tests, a_region_too_large_for_memory_is_refused_with_a_sentence);
    tcase_add_test(tests, nothing_is_left_open_or_mapped);
    tcase_add_test(tests, a_descriptor_of_zero_is_one);
    tcase_add_test(tests, a_draft_that_is_given_up_leaves_nothing);
    tcase_add_test(tests, a_region_has_a_name_that_tells_whose_it_is);
    tcase_add_test(tests, a_name_has_all_of_the_digest_behind_a_long_prefix);
    tcase_add_test(tests, regions_of_other_prefixes_are_let_be);
    tcase_add_test(tests, long_names_of_models_are_cut_in_front);
    tcase_add_test(tests, each_part_of_a_header_is_judged);
    tcase_add_test(tests, only_regular_files_of_ours_are_believed);
    tcase_add_test(tests, a_pipe_under_our_name_is_not_waited_at);
    tcase_add_test(tests, texts_of_a_header_are_ended_when_they_are_listed);
    tcase_add_test(tests, builds_are_compared_to_their_last_letter);
    tcase_add_test(tests, no_more_are_listed_than_there_is_room_for);
    tcase_add_test(tests, all_holders_are_counted);
    tcase_add_test(tests, ages_count_in_seconds_and_end_when_they_are_reached);
    tcase_add_test(tests, a_private_region_cannot_change_and_dies_with_us);
    tcase_add_test(tests, where_there_is_no_room_memory_is_private_and_the_same);
    tcase_add_test(tests, the_oldest_that_nobody_holds_makes_way);
    tcase_add_test(tests, a_note_lives_as_long_as_its_region);
    tcase_add_test(tests, a_note_is_kept_with_its_region_and_cleaned_with_it);
    tcase_add_test(tests, a_note_of_a_replaced_file_goes_with_its_region);
    tcase_add_test(tests, a_note_is_true_for_one_stamp_of_a_file_at_rest);
    tcase_add_test(tests, a_newer_note_replaces_an_older_one);
    tcase_add_test(tests, a_replaced_note_is_not_left_open);
    tcase_add_test(tests, a_region_holds_one_note);
    tcase_add_test(tests, a_note_that_is_damaged_is_none);
    suite_add_tcase(suite, tests);
    return suite;
}
