/* segment.c - tests of base/segment.c: what is opened, what is refused, and objects that shrink. */
#include "base/segment.h"

#include "base/err.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

Suite *base_segment_suite(void);

static char name[64], second[64], path[100], second_path[100];
static struct percept_err err;
static uint64_t size;

static void start(void)
{
    snprintf(name, sizeof name, "test-segment-%d", (int)getpid());
    snprintf(second, sizeof second, "test-segment2-%d", (int)getpid());
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    snprintf(second_path, sizeof second_path, "/dev/shm/%s", second);
    remove(path);
    remove(second_path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "0123456789", 10), 10);
    close(fd);
}

static void end(void)
{
    remove(path);
    remove(second_path);
}

START_TEST(an_object_is_read_and_written)
{
    char text[11] = "";
    start();
    int fd = segment_open(name, &size, &err);
    ck_assert_msg(fd >= 0, "%s", err.text);
    ck_assert_uint_eq(size, 10);
    ck_assert(segment_write(fd, 2, "ab", 2, NULL, &err));
    ck_assert(segment_read(fd, 0, text, 10, NULL, &err));
    ck_assert_str_eq(text, "01ab456789");
    ck_assert(segment_read(fd, 99, text, 0, NULL, &err));
    segment_close(fd);
    segment_close(-1);
    end();
}
END_TEST

/* Objects are not opened from here on, for this reason. */
static bool forbid_opening(unsigned why)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_NOCTTY, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | why),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static const struct {
    unsigned why;
    enum err_code code;
} reasons[] = {{EMFILE, ERR_SYSTEM}, {ENFILE, ERR_SYSTEM},  {ENOMEM, ERR_SYSTEM},
               {ELOOP, ERR_INVALID}, {EACCES, ERR_INVALID}, {ENOENT, ERR_INVALID}};

/* What is short here is not the caller's fault; an object that is not his is. */
START_TEST(an_object_that_cannot_be_opened_says_whose_fault_it_is)
{
    if (getenv("CK_FORK") && strcmp(getenv("CK_FORK"), "no") == 0)
        return;
    start();
    if (forbid_opening(reasons[_i].why)) {
        ck_assert_int_eq(segment_open(name, &size, &err), -1);
        ck_assert_int_eq(err.code, reasons[_i].code);
        ck_assert_str_eq(err.text, strerror((int)reasons[_i].why));
    } else
        printf("skipped: seccomp is not allowed here\n");
    end();
}
END_TEST

START_TEST(what_was_made_smaller_is_an_error)
{
    static char text[4 << 20];
    start();
    ck_assert_int_eq(truncate(path, sizeof text), 0);
    int fd = segment_open(name, &size, &err);
    ck_assert_uint_eq(size, sizeof text);
    ck_assert(segment_read(fd, 0, text, sizeof text, NULL, &err));
    ck_assert_int_eq(truncate(path, 5), 0);
    ck_assert(!segment_read(fd, 0, text, sizeof text, NULL, &err));
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_str_eq(err.text, "shared memory ends at byte 5: it was made smaller");
    segment_close(fd);
    end();
}
END_TEST

START_TEST(nobody_waits_any_more)
{
    const int cancelled = 1;
    struct watch watch = {.cancel = &cancelled};
    char text[10];
    start();
    int fd = segment_open(name, &size, &err);
    ck_assert(!segment_read(fd, 0, text, 10, &watch, &err));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
    ck_assert(!segment_write(fd, 0, text, 10, &watch, &err));
    segment_close(fd);
    end();
}
END_TEST

/* What the system refuses is told at once, and not tried for ever. */
START_TEST(what_may_not_be_read_or_written_is_an_error)
{
    char text[10] = "";
    start();
    int fd = open(path, O_RDONLY);
    ck_assert(!segment_write(fd, 0, text, 10, NULL, &err));
    ck_assert_int_eq(err.code, ERR_SYSTEM);
    ck_assert_str_eq(err.text, "shared memory cannot be written: Bad file descriptor");
    close(fd);
    fd = open(path, O_WRONLY);
    ck_assert(!segment_read(fd, 0, text, 10, NULL, &err));
    ck_assert_int_eq(err.code, ERR_SYSTEM);
    ck_assert_str_eq(err.text, "shared memory cannot be read: Bad file descriptor");
    close(fd);
    end();
}
END_TEST

START_TEST(names_that_are_none_are_refused)
{
    static const char *const names[] = {"", ".", "..", "/", "/etc/passwd", "a/b", "../tmp/x", "test-segment-none"};
    start();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ck_assert_int_eq(segment_open(names[i], &size, &err), -1);
        ck_assert_int_eq(err.code, ERR_INVALID);
    }
    end();
}
END_TEST

START_TEST(links_folders_and_pipes_are_refused)
{
    start();
    ck_assert_int_eq(symlink(path, second_path), 0);
    ck_assert_int_eq(segment_open(second, &size, &err), -1);
    remove(second_path);
    ck_assert_int_eq(link(path, second_path), 0);
    ck_assert_int_eq(segment_open(second, &size, &err), -1);
    ck_assert_str_eq(err.text, "it has more than one name");
    remove(second_path);
    ck_assert_int_eq(mkdir(second_path, 0700), 0);
    ck_assert_int_eq(segment_open(second, &size, &err), -1);
    remove(second_path);
    ck_assert_int_eq(mkfifo(second_path, 0600), 0);
    ck_assert_int_eq(segment_open(second, &size, &err), -1); /* and does not wait */
    ck_assert_str_eq(err.text, "it is no regular object");
    end();
}
END_TEST

Suite *base_segment_suite(void)
{
    Suite *suite = suite_create("base/segment");
    TCase *tcase = tcase_create("segment");
    tcase_add_test(tcase, an_object_is_read_and_written);
    tcase_add_test(tcase, what_was_made_smaller_is_an_error);
    tcase_add_test(tcase, nobody_waits_any_more);
    tcase_add_test(tcase, what_may_not_be_read_or_written_is_an_error);
    tcase_add_test(tcase, names_that_are_none_are_refused);
    tcase_add_test(tcase, links_folders_and_pipes_are_refused);
    tcase_add_loop_test(tcase, an_object_that_cannot_be_opened_says_whose_fault_it_is, 0,
                        sizeof reasons / sizeof *reasons);
    suite_add_tcase(suite, tcase);
    return suite;
}
