/*
 * receive.c - tests of http/receive.c on a pair of sockets: recv() is ours, for watched descriptors
 * it passes on what is well formed, and it leaves all others alone.
 */
#include "http/receive.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GOOD "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define BAD "GET / HTTP/1.1\nHost: x\r\n\r\n"

static int ends[2];
static struct receiver receiver;
static int n_faults;
static char bytes[200];

static void on_fault(void *user, struct receiver *of)
{
    ck_assert_ptr_eq(user, &n_faults);
    ck_assert_ptr_eq(of, &receiver);
    n_faults++;
}

static void start(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    receiver = (struct receiver){.on_fault = on_fault, .user = &n_faults};
    n_faults = 0;
}

static void end(void)
{
    close(ends[0]);
    close(ends[1]);
    receive_end();
}

static void say(const char *text)
{
    ck_assert_int_eq(send(ends[1], text, strlen(text), 0), (ssize_t)strlen(text));
}

static void hear(const char *text)
{
    ssize_t n = recv(ends[0], bytes, sizeof bytes, 0);
    ck_assert_int_eq(n, (ssize_t)strlen(text));
    ck_assert(memcmp(bytes, text, strlen(text)) == 0);
}

static void hear_nothing(void)
{
    errno = 0;
    ck_assert_int_eq(recv(ends[0], bytes, sizeof bytes, 0), -1);
    ck_assert_int_eq(errno, EAGAIN);
}

START_TEST(others_are_read_as_ever)
{
    start();
    say(BAD);
    hear(BAD);
    ck_assert(receive_watch(ends[0], &receiver));
    receive_forget(ends[0]);
    receive_forget(100000);
    say(BAD);
    hear(BAD);
    close(ends[1]);
    ck_assert_int_eq(recv(ends[0], bytes, sizeof bytes, 0), 0);
    ck_assert_int_eq(recv(-1, bytes, sizeof bytes, 0), -1);
    ck_assert_int_eq(errno, EBADF);
    end();
}
END_TEST

START_TEST(what_is_well_formed_passes)
{
    start();
    ck_assert(receive_watch(ends[0], &receiver));
    hear_nothing();
    say(GOOD);
    hear(GOOD);
    say("GET / HT");
    hear("GET / HT");
    say("TP/1.1\r\n\r\n" GOOD);
    hear("TP/1.1\r\n\r\n" GOOD);
    ck_assert_uint_eq(receiver.stream.n_heads, 3);
    close(ends[1]);
    ck_assert_int_eq(recv(ends[0], bytes, sizeof bytes, 0), 0);
    ck_assert_int_eq(n_faults, 0);
    end();
}
END_TEST

START_TEST(from_a_fault_on_nothing_passes)
{
    start();
    ck_assert(receive_watch(ends[0], &receiver));
    say(GOOD BAD GOOD);
    hear(GOOD);
    ck_assert_int_eq(n_faults, 1);
    hear_nothing();
    say(GOOD);
    hear_nothing();
    ck_assert_int_eq(n_faults, 1);
    end();
}
END_TEST

START_TEST(a_look_is_not_judged)
{
    start();
    ck_assert(receive_watch(ends[0], &receiver));
    say(BAD);
    ck_assert_int_eq(recv(ends[0], bytes, 1, MSG_PEEK), 1);
    ck_assert_ptr_null(receiver.stream.fault);
    hear_nothing();
    ck_assert_ptr_nonnull(receiver.stream.fault);
    end();
}
END_TEST

START_TEST(the_table_grows_with_descriptors)
{
    start();
    int high = dup2(ends[0], 1500);
    ck_assert_int_eq(high, 1500);
    struct receiver another = receiver;
    ck_assert(receive_watch(ends[0], &another));
    ck_assert(receive_watch(high, &receiver));
    say(BAD);
    ck_assert_int_eq(recv(high, bytes, sizeof bytes, 0), -1);
    ck_assert_int_eq(n_faults, 1);
    ck_assert_ptr_null(another.stream.fault);
    close(high);
    end();
}
END_TEST

Suite *http_receive_suite(void)
{
    Suite *suite = suite_create("http/receive");
    TCase *tcase = tcase_create("receive");
    tcase_add_test(tcase, others_are_read_as_ever);
    tcase_add_test(tcase, what_is_well_formed_passes);
    tcase_add_test(tcase, from_a_fault_on_nothing_passes);
    tcase_add_test(tcase, a_look_is_not_judged);
    tcase_add_test(tcase, the_table_grows_with_descriptors);
    suite_add_tcase(suite, tcase);
    return suite;
}
