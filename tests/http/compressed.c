/*
 * compressed.c - bodies that come compressed and replies that leave so, over sockets: which codings are taken, what the
 * headers count, and bodies that were made to hurt.
 */
#include "daemon.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

Suite *http_compressed_suite(void);

#define GZIP 31
#define ZLIB 15

static struct daemon host;
static struct client client;

static void start(void)
{
    struct settings settings = daemon_settings();
    settings.max_batch_size = 256;
    settings.max_body_bytes = 100000;
    daemon_start(&host, &settings, NULL);
    client_open(&client, &host);
}

static void end(void)
{
    client_close(&client);
    ck_assert_int_eq(daemon_end(&host), 0);
}

struct packed {
    size_t n;
    unsigned char at[1 << 16];
};

static struct packed pack(const void *from, size_t n, int bits)
{
    struct packed packed;
    z_stream z = {0};
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)from;
    z.avail_in = (uInt)n;
    z.next_out = packed.at;
    z.avail_out = sizeof packed.at;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    packed.n = z.total_out;
    deflateEnd(&z);
    return packed;
}

static struct reply post(const char *path, const char *more, const void *body, size_t n)
{
    char head[1000];
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n", path, more, n);
    client_send(&client, head);
    client_send_bytes(&client, body, n);
    return client_reply(&client);
}

static struct reply post_packed(const char *more, const struct packed *packed)
{
    return post(RELU_PATH, more, packed->at, packed->n);
}

static const struct {
    const char *header;
    int bits;
} taken[] = {
    {"Content-Encoding: gzip\r\n", GZIP},    {"Content-Encoding: deflate\r\n", ZLIB},
    {"Content-Encoding: x-GZIP\r\n", GZIP},  {"Content-Encoding: gzip\r\nContent-Type: text/json\r\n", GZIP},
    {"Content-Encoding: deflate\r\n", GZIP}, /* what it is, its first bytes say */
};

START_TEST(bodies_may_come_compressed)
{
    start();
    struct packed packed = pack(RELU_BODY, strlen(RELU_BODY), taken[_i].bits);
    struct reply reply = post_packed(taken[_i].header, &packed);
    ck_assert_msg(reply.status == 200, "%d %s", reply.status, reply.body);
    ck_assert(reply_has(&reply, "\"data\":[0.0,2.0]"));
    ck_assert_ptr_null(strcasestr(reply.head, "\nContent-Encoding"));
    end();
}
END_TEST

/* JSON, then bytes: what the header counts is not compressed. */
START_TEST(the_lengths_of_json_are_those_without_compression)
{
    static const char text[] = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\","
                               "\"parameters\":{\"binary_data_size\":8}}]}";
    static const float row[2] = {-3, 4};
    char body[sizeof text - 1 + sizeof row], more[200];
    start();
    memcpy(body, text, sizeof text - 1);
    memcpy(body + sizeof text - 1, row, sizeof row);
    struct packed packed = pack(body, sizeof body, GZIP);
    snprintf(more, sizeof more, "Content-Encoding: gzip\r\nInference-Header-Content-Length: %zu\r\n", sizeof text - 1);
    struct reply reply = post_packed(more, &packed);
    ck_assert_msg(reply.status == 200 && reply_has(&reply, "\"data\":[0.0,4.0]"), "%d %s", reply.status, reply.body);
    snprintf(more, sizeof more, "Content-Encoding: gzip\r\nInference-Header-Content-Length: %zu\r\n", sizeof body + 1);
    reply = post_packed(more, &packed);
    ck_assert_int_eq(reply.status, 400);
    ck_assert_msg(reply_has(&reply, "inference header size should be in range"), "%s", reply.body);
    end();
}
END_TEST

/* A request of 200 rows. */
static void many_rows(char *to, size_t room, bool binary)
{
    size_t n = (size_t)snprintf(to, room,
                                "{\"inputs\":[{\"name\":\"x\",\"shape\":[200,2],\"datatype\":\"FP32\",\"data\":[0.5");
    for (int i = 1; i < 400; i++)
        n += (size_t)snprintf(to + n, room - n, ",%d.5", i);
    snprintf(to + n, room - n, "]}]%s}", binary ? ",\"parameters\":{\"binary_data_output\":true}" : "");
}

static size_t unpack(const struct reply *reply, unsigned char *to, size_t room)
{
    z_stream z = {0};
    ck_assert_int_eq(inflateInit2(&z, 47), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)reply->body;
    z.avail_in = (uInt)reply->n_bytes;
    z.next_out = to;
    z.avail_out = (uInt)room;
    ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    ck_assert_uint_eq(z.avail_in, 0);
    inflateEnd(&z);
    return z.total_out;
}

static const struct {
    const char *accept, *coding; /* NULL: as it is */
    bool binary;
} replies[] = {
    {"gzip, deflate", "gzip", false},
    {"deflate, gzip", "deflate", false},
    {"gzip;q=0.1, deflate;q=0.2", "deflate", true},
    {"gzip", "gzip", true},
    {"br, gzip;q=0, deflate;q=0", NULL, false},
    {"identity, gzip", NULL, true},
    {"*", NULL, false},
};

START_TEST(replies_are_compressed_as_their_client_prefers)
{
    static char body[8000], more[200];
    static unsigned char plain[20000];
    start();
    many_rows(body, sizeof body, replies[_i].binary);
    struct reply as_it_is = post(RELU_PATH, "", body, strlen(body));
    ck_assert_int_eq(as_it_is.status, 200);
    snprintf(more, sizeof more, "Accept-Encoding: %s\r\n", replies[_i].accept);
    struct reply reply = post(RELU_PATH, more, body, strlen(body));
    ck_assert_int_eq(reply.status, 200);
    ck_assert(!replies[_i].binary == !strcasestr(reply.head, "\nInference-Header-Content-Length: "));
    if (!replies[_i].coding) {
        ck_assert_ptr_null(strcasestr(reply.head, "\nContent-Encoding"));
        ck_assert_uint_eq(reply.n_bytes, as_it_is.n_bytes);
        end();
        return;
    }
    snprintf(more, sizeof more, "Content-Encoding: %s", replies[_i].coding);
    ck_assert(reply_has_header(&reply, more));
    ck_assert_uint_lt(reply.n_bytes, as_it_is.n_bytes);
    ck_assert_uint_eq(unpack(&reply, plain, sizeof plain), as_it_is.n_bytes);
    ck_assert(memcmp(plain, as_it_is.body, as_it_is.n_bytes) == 0);
    if (replies[_i].binary) {
        const char *at = strcasestr(reply.head, "\nInference-Header-Content-Length: ") + 34;
        ck_assert_uint_eq(strtoul(at, NULL, 10) + 400 * sizeof(float), as_it_is.n_bytes);
    }
    end();
}
END_TEST

START_TEST(small_replies_and_errors_stay_as_they_are)
{
    start();
    struct reply reply = post(RELU_PATH, "Accept-Encoding: gzip\r\n", RELU_BODY, strlen(RELU_BODY));
    ck_assert_int_eq(reply.status, 200);
    ck_assert_ptr_null(strcasestr(reply.head, "\nContent-Encoding"));
    reply = post(RELU_PATH, "Accept-Encoding: gzip\r\n", "{}", 2);
    ck_assert_int_eq(reply.status, 400);
    ck_assert_ptr_null(strcasestr(reply.head, "\nContent-Encoding"));
    end();
}
END_TEST

static const struct {
    const char *path, *header, *accept;
} unknown[] = {
    {RELU_PATH, "Content-Encoding: br\r\n", "Accept-Encoding: gzip, deflate"},
    {RELU_PATH, "Content-Encoding: gzip, gzip\r\n", "Accept-Encoding: gzip, deflate"},
    {RELU_PATH, "Content-Encoding: \r\n", "Accept-Encoding: gzip, deflate"},
    {RELU_PATH, "Content-Encoding: br\r\nExpect: 100-continue\r\n", "Accept-Encoding: gzip, deflate"},
};

START_TEST(other_codings_are_415)
{
    start();
    struct reply reply = daemon_ask(&host, "POST", unknown[_i].path, unknown[_i].header, RELU_BODY);
    ck_assert_int_eq(reply.status, 415);
    ck_assert(reply_has_header(&reply, unknown[_i].accept));
    ck_assert_msg(reply_has(&reply, "Unsupported compression type"), "%s", reply.body);
    reply = daemon_ask(&host, "GET", "/v2", "Content-Encoding: gzip\r\n", "");
    ck_assert_int_eq(reply.status, 415);
    ck_assert(reply_has_header(&reply, "Accept-Encoding: identity"));
    end();
}
END_TEST

/* What a hostile body is, and what becomes of it: the next request is answered. */
static struct packed hostile(int i)
{
    static char zeros[4 << 20];
    struct packed packed = pack(RELU_BODY, strlen(RELU_BODY), GZIP), again = packed;
    switch (i) {
    case 0: /* a bomb: 4 MiB of which 100,000 bytes are allowed */
        return pack(zeros, sizeof zeros, GZIP);
    case 1: /* cut short */
        packed.n -= 3;
        return packed;
    case 2: /* something follows */
        packed.at[packed.n++] = 'x';
        return packed;
    case 3: /* two members: together no JSON */
        memcpy(packed.at + packed.n, again.at, again.n);
        packed.n += again.n;
        return packed;
    case 4: /* not compressed at all */
        packed.n = strlen(RELU_BODY);
        memcpy(packed.at, RELU_BODY, packed.n);
        return packed;
    case 5: /* nothing */
        packed.n = 0;
        return packed;
    case 6: /* of nothing */
        return pack("", 0, GZIP);
    default: /* damaged: its sum is wrong */
        packed.at[packed.n - 8] ^= 1;
        return packed;
    }
}

static const struct {
    int status;
    const char *says;
} fates[] = {
    {413, "exceeds the maximum allowed input size of 100000 bytes. Use --max-body to increase the limit."},
    {400, "not whole"},
    {400, "1 bytes follow"},
    {400, "failed to parse the request JSON"},
    {400, "neither gzip nor zlib"},
    {400, "empty"},
    {400, "failed to parse the request JSON"},
    {400, "incorrect data check"},
};

START_TEST(hostile_bodies_are_refused_with_a_sentence)
{
    start();
    struct packed packed = hostile(_i);
    struct reply reply = post_packed("Content-Encoding: gzip\r\n", &packed);
    ck_assert_msg(reply.status == fates[_i].status, "%d %s", reply.status, reply.body);
    ck_assert_msg(reply_has(&reply, fates[_i].says), "%s", reply.body);
    packed = pack(RELU_BODY, strlen(RELU_BODY), GZIP);
    ck_assert_int_eq(post_packed("Content-Encoding: gzip\r\n", &packed).status, 200);
    end();
}
END_TEST

Suite *http_compressed_suite(void)
{
    Suite *suite = suite_create("http/compressed");
    TCase *tcase = tcase_create("compressed");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, bodies_may_come_compressed, 0, sizeof taken / sizeof *taken);
    tcase_add_test(tcase, the_lengths_of_json_are_those_without_compression);
    tcase_add_loop_test(tcase, replies_are_compressed_as_their_client_prefers, 0, sizeof replies / sizeof *replies);
    tcase_add_test(tcase, small_replies_and_errors_stay_as_they_are);
    tcase_add_loop_test(tcase, other_codings_are_415, 0, sizeof unknown / sizeof *unknown);
    tcase_add_loop_test(tcase, hostile_bodies_are_refused_with_a_sentence, 0, sizeof fates / sizeof *fates);
    suite_add_tcase(suite, tcase);
    return suite;
}
