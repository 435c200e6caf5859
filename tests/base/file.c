/* file.c - a folder of traps: what lies beneath is read, nothing else, whichever way it is opened. */
#include "base/file.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "folder.h"

static struct arena arena;
static struct percept_err err;
static struct bytes bytes;

/*
 *   root/secret                   outside
 *   root/model/weights            read
 *   root/model/sub/more           read
 *   root/model/{hard,fifo}        refused
 *   root/model/{link,sublink,..}  followed where they lead to what lies beneath
 */
static void lay_traps(void)
{
    arena = (struct arena){0};
    err = (struct percept_err){0};
    bytes = (struct bytes){0};
    folder_begin("file");
    folder_text("secret", "secret");
    folder_text("model/weights", "0123456789");
    folder_text("model/sub/more", "more");
    folder_text("model/empty", "");
    folder_text("model/first", "twin");
    folder_text("model-2/weights", "neighbour");
    ck_assert_int_eq(link(folder_at("model/first"), folder_at("model/hard")), 0);
    static const struct {
        const char *to, *name;
    } links[] = {
        {"weights", "link"},
        {"sub", "sublink"},
        {"link", "twice"},
        {"sub/../weights", "winding"},
        {"../model/weights", "back-in"},
        {"../secret", "out"},
        {"..", "up"},
        {"../model-2", "neighbour"},
        {"/etc/passwd", "absolute"},
        {"/proc/self/exe", "magic"},
        {"nowhere", "dangling"},
        {"circle", "circle"},
        {"fifo", "to-fifo"},
        {"/dev/zero", "to-device"},
        {"hard", "to-hard"},
    };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        ck_assert_int_eq(symlink(links[i].to, folder_at(arena_printf(&arena, "model/%s", links[i].name))), 0);
    ck_assert_int_eq(symlink(folder_at("model/weights"), folder_at("model/absolute-in")), 0);
    ck_assert_int_eq(mkfifo(folder_at("model/fifo"), 0644), 0);
}

static void clear_traps(void)
{
    folder_end();
    arena_free(&arena);
}

static bool reads_of(const char *file, const char *name, size_t offset, size_t n)
{
    struct file_place place;
    ck_assert_msg(file_place_open(&place, folder_at(file), NULL, &err), "%s", err.text);
    bytes = bytes_of("untouched", 9);
    bool ok = file_read_beneath(&place, name, offset, n, &arena, &bytes, NULL, &err);
    file_place_close(&place);
    return ok;
}

static bool reads(const char *name, size_t offset, size_t n)
{
    return reads_of("model/weights", name, offset, n);
}

static void refused(const char *name, size_t offset, size_t n, const char *part)
{
    err.text[0] = 0;
    ck_assert_msg(!reads(name, offset, n), "'%s' was read", name);
    ck_assert_msg(strstr(err.text, part) != NULL, "'%s' is not in: %s", part, err.text);
    ck_assert(bytes_is(bytes, "untouched"));
}

static void judge_all_names(void)
{
    ck_assert_msg(reads("weights", 0, SIZE_MAX), "%s", err.text);
    ck_assert(bytes_is(bytes, "0123456789"));
    ck_assert(reads("sub/more", 0, SIZE_MAX));
    ck_assert(bytes_is(bytes, "more"));
    ck_assert(reads("./sub//more", 1, 2));
    ck_assert(bytes_is(bytes, "or"));
    refused("", 0, 1, "empty");
    refused("..", 0, 1, "'..'");
    refused("../secret", 0, 1, "'..'");
    refused("sub/../weights", 0, 1, "'..'");
    refused("sub/..", 0, 1, "'..'");
    refused("/etc/passwd", 0, 1, "absolute");
    refused(folder_at("model/weights"), 0, 1, "absolute");
    static const char *const inside[] = {"link", "twice", "winding", "back-in", "absolute-in"};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        ck_assert_msg(reads(inside[i], 3, 4), "%s", err.text);
        ck_assert(bytes_is(bytes, "3456"));
    }
    ck_assert_msg(reads("sublink/more", 0, SIZE_MAX), "%s", err.text);
    ck_assert(bytes_is(bytes, "more"));
    static const char *const outside[] = {"out",   "up/secret", "up/model-2/weights", "neighbour/weights",
                                          "magic", "absolute",  "to-device"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        refused(outside[i], 0, 1, "symbolic link that leads out of the folder");
    refused("dangling", 0, 1, "leads to nothing");
    refused("circle", 0, 1, "in a circle");
    refused("to-fifo", 0, 1, "device, pipe or socket");
    refused("to-hard", 0, 1, "hard links");
    refused("sublink", 0, 1, "folder");
    refused("hard", 0, 1, "hard links");
    refused("first", 0, 1, "hard links");
    refused("fifo", 0, 1, "device, pipe or socket");
    refused("sub", 0, 1, "folder");
    refused(".", 0, 1, "folder");
    refused("nothing", 0, 1, "No such file");
    refused("weights/", 0, 1, "weights/");
}

START_TEST(only_files_beneath_the_folder_are_read)
{
    judge_all_names();
}
END_TEST

/* openat2 answers ENOSYS from here on, as on kernels before 5.6. */
static bool forbid_openat2(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

START_TEST(the_same_holds_without_openat2)
{
    if (!getenv("CK_FORK") || strcmp(getenv("CK_FORK"), "no") != 0) {
        if (!forbid_openat2()) {
            printf("skipped: seccomp is not allowed here\n");
            return;
        }
        ck_assert_int_eq((int)syscall(SYS_openat2, -1, "", NULL, 0), -1);
        ck_assert_int_eq(errno, ENOSYS);
        judge_all_names();
    }
}
END_TEST

/* As Hugging Face's cache lays them: a model and its data are links into a folder of blobs. */
START_TEST(a_linked_file_is_served_from_the_folder_it_really_lies_in)
{
    folder_text("hub/blobs/aa", "model");
    folder_text("hub/blobs/bb", "data");
    folder_text("hub/blobs/deep/cc", "deeper");
    folder_text("hub/other", "no blob");
    folder_text("hub/snapshots/rev/onnx/readme", "");
    const char *const links[][2] = {{"../../../blobs/aa", "model.onnx"},
                                    {"../../../blobs/bb", "model.onnx_data"},
                                    {"../../../blobs/deep/cc", "cc"},
                                    {"../../../other", "other"},
                                    {"../../../../secret", "secret"}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        ck_assert_int_eq(
            symlink(links[i][0], folder_at(arena_printf(&arena, "hub/snapshots/rev/onnx/%s", links[i][1]))), 0);
    const char *model = "hub/snapshots/rev/onnx/model.onnx";
    ck_assert_msg(reads_of(model, "model.onnx_data", 0, SIZE_MAX), "%s", err.text);
    ck_assert(bytes_is(bytes, "data"));
    ck_assert_msg(reads_of(model, "cc", 0, SIZE_MAX), "%s", err.text);
    ck_assert(bytes_is(bytes, "deeper"));
    ck_assert(!reads_of(model, "other", 0, SIZE_MAX));
    ck_assert_ptr_nonnull(strstr(err.text, "leads out"));
    ck_assert(!reads_of(model, "secret", 0, SIZE_MAX));
    /* a model that is no link opens no second folder */
    ck_assert(!reads_of("hub/snapshots/rev/onnx/readme", "model.onnx_data", 0, SIZE_MAX));
}
END_TEST

/* Whoever may go through a folder may read what it names there; listing it is another right, which root has anyhow. */
START_TEST(a_linked_file_may_lie_in_a_folder_that_cannot_be_listed)
{
    if (getenv("CK_FORK") && strcmp(getenv("CK_FORK"), "no") == 0)
        return;
    folder_text("open/closed/model", "model");
    folder_text("open/closed/data", "data");
    folder_text("open/model.onnx", "");
    ck_assert_int_eq(unlink(folder_at("open/model.onnx")), 0);
    ck_assert_int_eq(symlink("closed/model", folder_at("open/model.onnx")), 0);
    ck_assert_int_eq(symlink("closed/data", folder_at("open/data")), 0);
    ck_assert_int_eq(chmod(folder_root, 0755) + chmod(folder_at("open"), 0755) + chmod(folder_at("open/closed"), 0311),
                     0);
    const bool root = geteuid() == 0;
    if (root)
        ck_assert_int_eq(seteuid(65534), 0);
    const bool ok = reads_of("open/model.onnx", "data", 0, SIZE_MAX);
    const bool beside = ok && reads_of("open/closed/model", "data", 0, SIZE_MAX);
    if (root)
        ck_assert_int_eq(seteuid(0), 0);
    chmod(folder_at("open/closed"), 0700);
    ck_assert_msg(ok, "%s", err.text);
    ck_assert_msg(beside && bytes_is(bytes, "data"), "%s", err.text);
    ck_assert_msg(reads_of("open/model.onnx", "data", 0, SIZE_MAX), "%s", err.text);
}
END_TEST

/* As Kubernetes mounts a ConfigMap: ..data is swapped in one step. */
START_TEST(a_volume_of_links_is_read)
{
    folder_text("volume/..2026_01/model.onnx", "model");
    folder_text("volume/..2026_01/w.bin", "data");
    ck_assert_int_eq(symlink("..2026_01", folder_at("volume/..data")), 0);
    ck_assert_int_eq(symlink("..data/model.onnx", folder_at("volume/model.onnx")), 0);
    ck_assert_int_eq(symlink("..data/w.bin", folder_at("volume/w.bin")), 0);
    ck_assert_msg(reads_of("volume/model.onnx", "w.bin", 0, SIZE_MAX), "%s", err.text);
    ck_assert(bytes_is(bytes, "data"));
    ck_assert_int_eq(symlink("volume", folder_at("mounted")), 0);
    ck_assert_msg(reads_of("mounted/model.onnx", "w.bin", 0, SIZE_MAX), "%s", err.text);
}
END_TEST

/* Somebody swaps a link between inside and outside all the while: the secret is never read. */
START_TEST(links_that_are_swapped_meanwhile_give_nothing_away)
{
    const char *one = folder_at("model/swap-1"), *two = folder_at("model/swap-2"), *name = folder_at("model/swapped");
    ck_assert_int_eq(symlink("weights", name), 0);
    pid_t child = fork();
    for (unsigned i = 0; child == 0; i++) {
        const char *next = i % 2 ? one : two;
        if (symlink(i % 2 ? "../secret" : "weights", next) != 0 || rename(next, name) != 0)
            _exit(1);
    }
    int n_read = 0;
    for (int i = 0; i < 3000; i++) {
        if (!reads("swapped", 0, 6))
            continue;
        ck_assert(bytes_is(bytes, "012345"));
        n_read++;
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ck_assert_int_gt(n_read, 0);
}
END_TEST

START_TEST(a_file_that_was_replaced_has_no_place)
{
    struct file_stamp stamp;
    struct file_place place;
    ck_assert(file_read(folder_at("model/weights"), 0, &bytes, &stamp, &err));
    arena_buffer_free((void *)(uintptr_t)bytes.at);
    ck_assert(file_place_open(&place, folder_at("model/weights"), &stamp, &err));
    file_place_close(&place);
    folder_text("model/new", "0123456789");
    ck_assert_int_eq(rename(folder_at("model/new"), folder_at("model/weights")), 0);
    ck_assert(!file_place_open(&place, folder_at("model/weights"), &stamp, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "was replaced while it was read"));
    ck_assert(!file_place_open(&place, folder_at("nothing/x"), NULL, &err));
    ck_assert_int_eq(err.code, ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_pointer_of_git_lfs_is_never_the_file)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n"
                                  "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
                                  "size 12345\n";
    folder_text("model/pointer", pointer);
    folder_text("model/page", "<!DOCTYPE html><p>Not Found</p>");
    refused("pointer", 0, SIZE_MAX, "git lfs pull");
    refused("pointer", 0, 48, "git lfs pull"); /* would fit */
    refused("pointer", 64, 12345, "git lfs pull");
    ck_assert(!file_read(folder_at("model/pointer"), 0, &bytes, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "git lfs pull"));
    refused("page", 0, 4096, "an HTML page");
    ck_assert(reads("page", 0, SIZE_MAX)); /* as a text it is one */
}
END_TEST

START_TEST(ranges_must_lie_within_the_file)
{
    ck_assert(reads("weights", 10, SIZE_MAX));
    ck_assert_uint_eq(bytes_size(bytes), 0);
    ck_assert(reads("weights", 9, 1));
    refused("weights", 11, SIZE_MAX, "has 10 bytes");
    refused("weights", 9, 2, "has 10 bytes; 2 at offset 9");
    refused("weights", 2, SIZE_MAX - 1, "has 10 bytes");
    refused("weights", SIZE_MAX, 2, "has 10 bytes");
}
END_TEST

START_TEST(a_whole_file_is_read_aligned_and_stamped)
{
    struct file_stamp stamp;
    ck_assert(file_read(folder_at("model/weights"), 0, &bytes, &stamp, &err));
    ck_assert(bytes_is(bytes, "0123456789"));
    ck_assert_uint_eq((uintptr_t)bytes.at % 64, 0);
    ck_assert_uint_eq(stamp.size, 10);
    ck_assert_int_ne(stamp.mtime_ns, 0);
    arena_buffer_free((void *)(uintptr_t)bytes.at);
    ck_assert(file_read(folder_at("model/empty"), 0, &bytes, NULL, &err));
    ck_assert_uint_eq(bytes_size(bytes), 0);
    arena_buffer_free((void *)(uintptr_t)bytes.at);
}
END_TEST

START_TEST(what_is_no_file_or_too_large_is_refused)
{
    ck_assert(!file_read(folder_at("nothing"), 0, &bytes, NULL, &err));
    ck_assert_int_eq(err.code, ERR_NOT_FOUND);
    ck_assert(!file_read(folder_at("model"), 0, &bytes, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "is a folder"));
    ck_assert(!file_read(folder_at("model/fifo"), 0, &bytes, NULL, &err));
    ck_assert(!file_read("/dev/zero", 0, &bytes, NULL, &err));
    ck_assert(!file_read(folder_at("model/weights"), 9, &bytes, NULL, &err));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
    ck_assert_ptr_null(bytes.at);
}
END_TEST

START_TEST(memory_that_is_short_is_told)
{
    arena_fail_at(1, true);
    ck_assert(!file_read("/proc/self/../../etc/passwd", 0, &bytes, NULL, &err));
    arena_fail_at(0, false);
    ck_assert_int_eq(err.code, ERR_MEMORY);
}
END_TEST

START_TEST(paths_are_taken_apart_and_joined)
{
    ck_assert_str_eq(file_dirname(&arena, "a/b/c.onnx"), "a/b");
    ck_assert_str_eq(file_dirname(&arena, "c.onnx"), ".");
    ck_assert_str_eq(file_dirname(&arena, "/c.onnx"), "/");
    ck_assert_str_eq(file_stem(&arena, "a/b/c.onnx"), "c");
    ck_assert_str_eq(file_stem(&arena, "c"), "c");
    ck_assert_str_eq(file_stem(&arena, "a/.onnx"), ".onnx");
    ck_assert_str_eq(file_join(&arena, "a", "b"), "a/b");
    ck_assert_str_eq(file_join(&arena, "a/", "b"), "a/b");
    ck_assert_str_eq(file_join(&arena, "", "b"), "b");
    ck_assert_str_eq(file_absolute(&arena, folder_at("model/sub/../weights")), folder_at("model/weights"));
    ck_assert_str_eq(file_absolute(&arena, "no/such"), "no/such");
    ck_assert_str_eq(file_absolute(&arena, folder_at("model/sublink/")), folder_at("model/sublink"));
    ck_assert_str_eq(file_absolute(&arena, folder_at("model/sublink/more")), folder_at("model/sub/more"));
    ck_assert_str_eq(file_absolute(&arena, folder_at("model/sublink/.")), folder_at("model/sub"));
    ck_assert_str_eq(file_absolute(&arena, folder_at("model/sublink/..")), folder_at("model"));
    ck_assert_str_eq(file_absolute(&arena, "/"), "/");
}
END_TEST

START_TEST(a_folder_lists_sorted)
{
    char **names;
    ck_assert_int_eq(file_list(&arena, folder_root, &names, &err), 3);
    ck_assert_str_eq(names[0], "model");
    ck_assert_str_eq(names[2], "secret");
    ck_assert_int_eq(mkdir(folder_at("bare"), 0700), 0);
    ck_assert_int_eq(file_list(&arena, folder_at("bare"), &names, &err), 0);
    ck_assert_str_eq(err.text, ""); /* which is no error */
    ck_assert_int_eq(file_list(&arena, folder_at("nothing"), &names, &err), -1);
    ck_assert_int_eq(err.code, ERR_NOT_FOUND);
    ck_assert(file_is_folder(folder_root));
    ck_assert(!file_is_folder(folder_at("secret")));
    ck_assert(file_exists(folder_at("secret")));
    ck_assert(!file_exists(folder_at("nothing")));
}
END_TEST

START_TEST(writing_replaces_and_tells_failure)
{
    folder_text("written", "long text");
    folder_text("written", "short");
    ck_assert(file_read(folder_at("written"), 0, &bytes, NULL, &err));
    ck_assert(bytes_is(bytes, "short"));
    arena_buffer_free((void *)(uintptr_t)bytes.at);
    ck_assert(!file_write(folder_at("no/such"), "x", 1, &err));
    ck_assert(!file_write("/dev/full", "x", 1, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "No space"));
}
END_TEST

/* Descriptors that are open. */
static int descriptors(void)
{
    char **names;
    struct percept_err none;
    return file_list(&arena, "/proc/self/fd", &names, &none);
}

START_TEST(every_descriptor_is_closed_again)
{
    const int before = descriptors();
    struct file_place place;
    ck_assert_int_gt(before, 0);
    judge_all_names();
    ck_assert(file_place_open(&place, folder_at("model/link"), NULL, &err)); /* whose file lies somewhere */
    ck_assert(place.folder >= 0 && place.real >= 0);
    file_place_close(&place);
    ck_assert(place.folder == -1 && place.real == -1);
    ck_assert(!file_place_open(&place, folder_at("model/nothing"), NULL, &err));
    ck_assert(place.folder == -1 && place.real == -1);
    file_place_close(&place);
    ck_assert(!file_read(folder_at("model"), 0, &bytes, NULL, &err));
    ck_assert(!file_write("/dev/full", "x", 1, &err));
    ck_assert_int_eq(file_list(&arena, folder_at("nothing"), &(char **){NULL}, &err), -1);
    ck_assert_int_eq(descriptors(), before);
}
END_TEST

/* Where standard input is closed the first descriptor is 0, which is one like any other. */
START_TEST(a_descriptor_of_zero_is_one)
{
    const int kept = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    const int before = descriptors();
    judge_all_names();
    ck_assert(file_read(folder_at("model/weights"), 0, &bytes, NULL, &err));
    ck_assert(bytes_is(bytes, "0123456789"));
    arena_buffer_free((void *)(uintptr_t)bytes.at);
    ck_assert(file_write(folder_at("written"), "x", 1, &err));
    ck_assert_int_eq(descriptors(), before);
    ck_assert(reads_of("model/absolute", "link", 0, 4)); /* the place's folder; what is linked lies elsewhere */
    ck_assert(bytes_is(bytes, "0123"));
    ck_assert_int_eq(descriptors(), before);
    if (kept >= 0)
        dup2(kept, STDIN_FILENO);
}
END_TEST

/* A link into /proc may lead to a file that has no name any more, and another may have what /proc calls it. */
START_TEST(a_file_that_only_has_the_name_is_another)
{
    folder_text("model/gone", "gone");
    folder_text("model/gone (deleted)", "decoy");
    const int fd = open(folder_at("model/gone"), O_RDONLY);
    ck_assert_int_eq(unlink(folder_at("model/gone")), 0);
    ck_assert_int_eq(symlink(arena_printf(&arena, "/proc/self/fd/%d", fd), folder_at("model/of-proc")), 0);
    refused("of-proc", 0, 1, "leads out of the folder");
    close(fd);
}
END_TEST

START_TEST(an_error_of_before_is_none)
{
    static const int before[] = {ENOSYS, EPERM, ELOOP, EXDEV, EINTR, EAGAIN, ENOENT};
    const size_t n = sizeof before / sizeof *before;
    const int kept = dup(STDIN_FILENO), standard = descriptors();
    ck_assert_int_ge(kept, 0);
    for (size_t k = 0; k < 2 * n; k++) {
        const size_t i = k % n;
        if (k == n)
            close(STDIN_FILENO); /* and with descriptors from 0 on */
        errno = before[i];
        ck_assert(reads("weights", 0, 4) && bytes_is(bytes, "0123"));
        errno = before[i];
        ck_assert(reads("link", 0, 4) && bytes_is(bytes, "0123"));
        errno = before[i];
        ck_assert(file_write(folder_at("written"), "x", 1, &err));
        errno = before[i];
        char **names;
        ck_assert_int_eq(file_list(&arena, folder_at("model/sub"), &names, &err), 1);
        errno = before[i];
        ck_assert(file_read(folder_at("model/weights"), 0, &bytes, NULL, &err));
        arena_buffer_free((void *)(uintptr_t)bytes.at);
    }
    ck_assert_int_eq(descriptors(), standard - 1);
    dup2(kept, STDIN_FILENO);
}
END_TEST

START_TEST(names_have_a_length)
{
    char name[5001];
    memset(name, 'a', sizeof name);
    for (size_t i = 200; i < sizeof name; i += 200)
        name[i] = '/';
    name[4096] = '\0';
    refused(name, 0, 1, "a file's name is too long");
    name[4095] = '\0';
    refused(name, 0, 1, "cannot open 'aaa");
    ck_assert_int_eq(err.code, ERR_NOT_FOUND);
    memset(name, 'a', 300);
    name[256] = '\0'; /* one more than a part may have */
    refused(name, 0, 1, "File name too long");
    name[255] = '\0';
    refused(name, 0, 1, "No such file");
    folder_text(arena_printf(&arena, "model/%s", name), "longest");
    ck_assert(reads(name, 0, SIZE_MAX) && bytes_is(bytes, "longest"));
    struct file_place place;
    memset(name, 'a', sizeof name);
    for (size_t i = 0; i < sizeof name; i += 2)
        name[i] = '/';
    name[4999] = '\0';
    for (size_t n = 4998; n >= 4096; n -= 902) { /* where the last slash stands */
        name[n + 1] = 'a';
        name[n] = '/';
        name[n + 2] = '\0';
        errno = ENOENT;
        ck_assert(!file_place_open(&place, name, NULL, &err));
        ck_assert_int_eq(err.code, ERR_SYSTEM); /* ENAMETOOLONG */
    }
    refused("..a/x", 0, 1, "No such file"); /* which leads nowhere */
    refused(".../x", 0, 1, "No such file");
}
END_TEST

START_TEST(names_have_a_length_without_openat2_too)
{
    if (!getenv("CK_FORK") || strcmp(getenv("CK_FORK"), "no") != 0) {
        if (!forbid_openat2()) {
            printf("skipped: seccomp is not allowed here\n");
            return;
        }
        char name[300];
        const int before = descriptors();
        memset(name, 'a', sizeof name);
        name[256] = '\0';
        refused(name, 0, 1, "File name too long");
        refused(arena_printf(&arena, "sub/%s", name), 0, 1, "File name too long");
        name[255] = '\0';
        folder_text(arena_printf(&arena, "model/%s/%s", name, name), "longest");
        ck_assert(reads(arena_printf(&arena, "%s///%s", name, name), 0, SIZE_MAX) && bytes_is(bytes, "longest"));
        judge_all_names();
        ck_assert_int_eq(descriptors(), before);
    }
}
END_TEST

START_TEST(a_place_may_be_the_working_folder_or_the_root)
{
    struct file_place place;
    ck_assert_int_eq(chdir(folder_at("model")), 0);
    ck_assert(file_place_open(&place, "weights", NULL, &err));
    ck_assert(file_read_beneath(&place, "sub/more", 0, SIZE_MAX, &arena, &bytes, NULL, &err));
    ck_assert(bytes_is(bytes, "more"));
    file_place_close(&place);
    ck_assert_int_eq(chdir("/"), 0);
    if (getenv("EMULATED")) {
        printf("not run: an emulator shows its own folder as the root\n");
        return;
    }
    ck_assert(file_place_open(&place, "/tmp", NULL, &err)); /* beneath the root lies everything */
    ck_assert(file_read_beneath(&place, folder_at("model/link") + 1, 0, SIZE_MAX, &arena, &bytes, NULL, &err));
    ck_assert(bytes_is(bytes, "0123456789"));
    file_place_close(&place);
}
END_TEST

START_TEST(a_stamp_tells_what_stat_tells)
{
    struct stat st;
    struct file_stamp stamp, beneath;
    struct file_place place;
    ck_assert_int_eq(stat(folder_at("model/weights"), &st), 0);
    ck_assert(file_read(folder_at("model/weights"), 10, &bytes, &stamp, &err)); /* just within the limit */
    arena_buffer_free((void *)(uintptr_t)bytes.at);
    ck_assert_uint_eq(stamp.device, st.st_dev);
    ck_assert_uint_eq(stamp.inode, st.st_ino);
    ck_assert_uint_eq(stamp.size, 10);
    ck_assert_int_eq(stamp.mtime_ns, st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    ck_assert_int_eq(stamp.ctime_ns, st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec);
    ck_assert(file_place_open(&place, folder_at("model/weights"), NULL, &err));
    ck_assert(file_read_beneath(&place, "weights", 2, 3, &arena, &bytes, &beneath, &err));
    ck_assert_int_eq(memcmp(&stamp, &beneath, sizeof stamp), 0);
    file_place_close(&place);
    stamp.device++;
    ck_assert(!file_place_open(&place, folder_at("model/weights"), &stamp, &err));
    stamp.device--;
    stamp.inode++;
    ck_assert(!file_place_open(&place, folder_at("model/weights"), &stamp, &err));
}
END_TEST

/* What happens beside the next reads: every `every`th is interrupted, none gives more than `most` bytes, and the file
 * of this path, if one is named, gets so many bytes then. */
static struct {
    int every, calls;
    size_t most;
    const char *path;
    off_t n_bytes;
} beside;

#if !defined __SANITIZE_THREAD__ && !defined __SANITIZE_ADDRESS__
#define READS_DIFFERENTLY 1
/* In place of the library's. */
ssize_t pread(int fd, void *to, size_t n, off_t offset)
{
    if (beside.every && ++beside.calls % beside.every == 0) {
        errno = EINTR;
        return -1;
    }
    if (beside.path && truncate(beside.path, beside.n_bytes) == 0)
        beside.path = NULL;
    return (ssize_t)syscall(SYS_pread64, fd, to, beside.most && beside.most < n ? beside.most : n, offset);
}
#else
#define READS_DIFFERENTLY 0
#endif

/* What the links lead to is asked through /proc: how often, and the link that then leads to the weights at last. */
static struct {
    int asked, mends_at;
    const char *link;
} proc;

#if READS_DIFFERENTLY
ssize_t readlink(const char *path, char *to, size_t n)
{
    if (++proc.asked == proc.mends_at && (unlink(proc.link) != 0 || symlink("weights", proc.link) != 0))
        return -1;
    return (ssize_t)syscall(SYS_readlinkat, AT_FDCWD, path, to, n);
}
#endif

/* A link that leads out may be one that is being swapped: it is asked again, and not for ever. Three questions each:
 * where it leads, and where the two folders lie. */
START_TEST(a_link_that_leads_out_is_looked_at_again)
{
    for (int attempt = 1; READS_DIFFERENTLY && attempt <= 11; attempt++) {
        struct file_place place;
        unlink(folder_at("model/changing"));
        ck_assert_int_eq(symlink("../secret", folder_at("model/changing")), 0);
        ck_assert(file_place_open(&place, folder_at("model/weights"), NULL, &err));
        proc.asked = 0;
        proc.link = folder_at("model/changing");
        proc.mends_at = 3 * attempt - 1; /* too late for this one */
        bool ok = file_read_beneath(&place, "changing", 0, SIZE_MAX, &arena, &bytes, NULL, &err);
        ck_assert_int_eq(ok, attempt < 10);
        ck_assert_int_eq(proc.asked, attempt < 10 ? 3 * attempt + 2 : 30);
        ck_assert(!ok || bytes_is(bytes, "0123456789"));
        file_place_close(&place);
    }
}
END_TEST

START_TEST(reading_goes_on_after_an_interruption_and_in_pieces)
{
    beside.every = 2;
    beside.most = 3;
    ck_assert(file_read(folder_at("model/weights"), 0, &bytes, NULL, &err));
    ck_assert(bytes_is(bytes, "0123456789"));
    arena_buffer_free((void *)(uintptr_t)bytes.at);
    ck_assert(reads("weights", 1, 8) && bytes_is(bytes, "12345678"));
    ck_assert(!READS_DIFFERENTLY || beside.calls >= 8);
}
END_TEST

START_TEST(a_file_that_changes_while_it_is_read_is_refused)
{
    for (int beneath = 0; READS_DIFFERENTLY && beneath < 2; beneath++)
        for (int longer = 0; longer < 2; longer++) {
            folder_text("model/changing", "0123456789");
            beside.path = folder_at("model/changing");
            beside.n_bytes = longer ? 11 : 5;
            bytes = (struct bytes){0};
            ck_assert(
                !(beneath ? reads("changing", 0, 10) : file_read(folder_at("model/changing"), 0, &bytes, NULL, &err)));
            ck_assert_int_eq(err.code, ERR_SYSTEM);
            ck_assert_ptr_nonnull(strstr(err.text, longer ? "changed while it was read" : "shrank while it was read"));
        }
}
END_TEST

START_TEST(names_in_a_path_end_where_they_end)
{
    ck_assert_str_eq(file_stem(&arena, "a.b/c.ONNX"), "c");
    ck_assert_str_eq(file_stem(&arena, "x.onnx"), "x");
    ck_assert_str_eq(file_stem(&arena, "xonnx"), "xonnx");
    ck_assert_str_eq(file_stem(&arena, ".onnx"), ".onnx");
    ck_assert_str_eq(file_stem(&arena, "a/"), "");
    ck_assert_str_eq(file_dirname(&arena, "/a/b"), "/a");
    ck_assert_str_eq(file_dirname(&arena, "a/"), "a");
    ck_assert_str_eq(file_join(&arena, "/", "b"), "/b");
    ck_assert_str_eq(file_absolute(&arena, folder_at("model/sub//")), folder_at("model/sub"));
    ck_assert_int_eq(chdir(folder_at("model/sub")), 0);
    ck_assert_str_eq(file_absolute(&arena, "more"), folder_at("model/sub/more"));
    ck_assert_str_eq(file_absolute(&arena, "."), folder_at("model/sub"));
    ck_assert_str_eq(file_absolute(&arena, "../.."), folder_root);
    ck_assert_str_eq(file_absolute(&arena, "../weights"), folder_at("model/weights"));
    ck_assert_str_eq(file_absolute(&arena, "no/.."), "no/..");
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(a_folder_encloses_itself_and_what_lies_beneath)
{
    const char *model = folder_at("model");
    ck_assert(file_encloses(model, model));
    ck_assert(file_encloses(model, folder_at("model/sub/more")));
    ck_assert(file_encloses(model, folder_at("model/sub/..")));
    ck_assert(file_encloses(folder_at("model/up"), folder_at("secret"))); /* links are followed */
    ck_assert(file_encloses("/", model));
    ck_assert(!file_encloses(model, folder_root));
    ck_assert(!file_encloses(model, folder_at("model-2/weights"))); /* which begins alike */
    ck_assert(!file_encloses(model, folder_at("model/out")));
    ck_assert(!file_encloses(model, folder_at("model/nothing")));
    ck_assert(!file_encloses(folder_at("nothing"), model));
}
END_TEST

START_TEST(a_folder_of_many_lists_them_all_in_order)
{
    char **names;
    char name[16];
    for (int i = 49; i >= 0; i--) {
        snprintf(name, sizeof name, "many/%02d", i);
        folder_text(name, "");
    }
    folder_text("many/.hidden", "");
    ck_assert_int_eq(file_list(&arena, folder_at("many"), &names, &err), 51);
    ck_assert_str_eq(names[0], ".hidden");
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "%02d", i);
        ck_assert_str_eq(names[1 + i], name);
    }
    ck_assert_int_eq(mkdir(folder_at("bare"), 0755), 0);
    ck_assert_int_eq(file_list(&arena, folder_at("bare"), &names, &err), 0);
    ck_assert_int_eq(file_list(&arena, folder_at("secret"), &names, &err), -1);
    ck_assert_int_eq(err.code, ERR_NOT_FOUND); /* ENOTDIR */
    arena_fail_at(1, true);
    struct arena none = {0};
    ck_assert_int_eq(file_list(&none, folder_at("many"), &names, &err), -1);
    arena_fail_at(0, false);
    ck_assert_int_eq(err.code, ERR_MEMORY);
}
END_TEST

START_TEST(what_is_written_has_the_mode_of_a_document)
{
    struct stat st;
    umask(022);
    static char large[300000];
    memset(large, 'x', sizeof large);
    ck_assert(file_write(folder_at("written"), large, sizeof large, &err));
    ck_assert_int_eq(stat(folder_at("written"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0644);
    ck_assert_int_eq(st.st_size, sizeof large);
    ck_assert(file_write(folder_at("written"), "", 0, &err));
    ck_assert_int_eq(stat(folder_at("written"), &st), 0);
    ck_assert_int_eq(st.st_size, 0);
    ck_assert(!file_write(folder_at("model"), "x", 1, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "cannot write"));
}
END_TEST

Suite *base_file_suite(void)
{
    Suite *suite = suite_create("base/file");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, lay_traps, clear_traps);
    tcase_add_test(tests, only_files_beneath_the_folder_are_read);
    tcase_add_test(tests, the_same_holds_without_openat2);
    tcase_add_test(tests, a_linked_file_is_served_from_the_folder_it_really_lies_in);
    tcase_add_test(tests, a_linked_file_may_lie_in_a_folder_that_cannot_be_listed);
    tcase_add_test(tests, a_volume_of_links_is_read);
    tcase_add_test(tests, links_that_are_swapped_meanwhile_give_nothing_away);
    tcase_add_test(tests, a_file_that_was_replaced_has_no_place);
    tcase_add_test(tests, a_pointer_of_git_lfs_is_never_the_file);
    tcase_add_test(tests, ranges_must_lie_within_the_file);
    tcase_add_test(tests, a_whole_file_is_read_aligned_and_stamped);
    tcase_add_test(tests, what_is_no_file_or_too_large_is_refused);
    tcase_add_test(tests, memory_that_is_short_is_told);
    tcase_add_test(tests, paths_are_taken_apart_and_joined);
    tcase_add_test(tests, a_folder_lists_sorted);
    tcase_add_test(tests, writing_replaces_and_tells_failure);
    tcase_add_test(tests, every_descriptor_is_closed_again);
    tcase_add_test(tests, a_descriptor_of_zero_is_one);
    tcase_add_test(tests, a_file_that_only_has_the_name_is_another);
    tcase_add_test(tests, an_error_of_before_is_none);
    tcase_add_test(tests, names_have_a_length);
    tcase_add_test(tests, names_have_a_length_without_openat2_too);
    tcase_add_test(tests, a_place_may_be_the_working_folder_or_the_root);
    tcase_add_test(tests, a_stamp_tells_what_stat_tells);
    tcase_add_test(tests, a_link_that_leads_out_is_looked_at_again);
    tcase_add_test(tests, reading_goes_on_after_an_interruption_and_in_pieces);
    tcase_add_test(tests, a_file_that_changes_while_it_is_read_is_refused);
    tcase_add_test(tests, names_in_a_path_end_where_they_end);
    tcase_add_test(tests, a_folder_encloses_itself_and_what_lies_beneath);
    tcase_add_test(tests, a_folder_of_many_lists_them_all_in_order);
    tcase_add_test(tests, what_is_written_has_the_mode_of_a_document);
    suite_add_tcase(suite, tests);
    return suite;
}
