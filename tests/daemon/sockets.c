/*
 * sockets.c - WebSockets at the program: a sound that is streamed, who may open one, whoever breaks off at any byte,
 * the stop.
 */
#include "heard.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Suite *daemon_sockets_suite(void);

#define KEYS "infer-key infer\nread-key read\n"

static bool begin(struct rig *rig)
{
    if (!rig_is_there())
        return false;
    rig_begin(rig);
    heard_write_sum(rig, "sum", "{\"manifest\":1," HEARD_SOUND "," HEARD_SEQUENCE "}");
    heard_write_loud(rig, "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"audio\",\"rate\":8000,\"range\":32768,"
                          "\"window\":4,\"layout\":\"NCT\"}},\"task\":{\"kind\":\"audio\",\"range\":32768}}");
    rig_start(rig, "%s/models", rig->folder);
    return true;
}

#define STREAM "/v2/models/sum/stream?type=audio/x-raw;format=S16LE;rate=8000"
#define HANDSHAKE                                                                                                      \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                     \
    "Sec-WebSocket-Version: 13\r\n"

static void say(struct client *client, const char *path, const char *more)
{
    char head[1000];
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: here:80\r\n" HANDSHAKE "%s\r\n", path, more);
    ck_assert(client_send(client, head, strlen(head)));
}

/* The head of the answer, which has no body; its status. */
static int opened(struct client *client, char *head, size_t room)
{
    size_t n = 0;
    while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0) {
        ck_assert_uint_lt(n, room - 1);
        if (recv(client->fd, head + n, 1, 0) != 1)
            return 0;
        head[++n] = '\0';
    }
    return (int)strtol(head + 9, NULL, 10);
}

static void open_at(const struct rig *rig, struct client *client, const char *path, const char *more)
{
    char head[2000];
    ck_assert(client_open(client, rig->port));
    say(client, path, more);
    const int status = opened(client, head, sizeof head);
    ck_assert_msg(status == 101, "%s", head);
    ck_assert_ptr_nonnull(strstr(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    ck_assert_ptr_nonnull(strstr(head, "Upgrade: websocket\r\n"));
}

static size_t frame(uint8_t *to, uint8_t opcode, const void *payload, size_t n)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    to[0] = 0x80 | opcode;
    to[1] = (uint8_t)(0x80 | n); /* of less than 126 bytes */
    memcpy(to + 2, mask, 4);
    for (size_t i = 0; i < n; i++)
        to[6 + i] = ((const uint8_t *)payload)[i] ^ mask[i % 4];
    return 6 + n;
}

static void send_frame(struct client *client, uint8_t opcode, const void *payload, size_t n)
{
    uint8_t bytes[200];
    ck_assert(client_send(client, bytes, frame(bytes, opcode, payload, n)));
}

static void exactly(struct client *client, uint8_t *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        const ssize_t some = recv(client->fd, to + at, n - at, 0);
        ck_assert_msg(some > 0, "the socket ends within a frame");
        at += (size_t)some;
    }
}

/* The next frame: its opcode; its payload ends in a zero. */
static int hear(struct client *client, char payload[65536], size_t *n)
{
    uint8_t head[4];
    exactly(client, head, 2);
    *n = head[1];
    if (*n == 126) {
        exactly(client, head + 2, 2);
        *n = (size_t)(head[2] << 8 | head[3]);
    }
    ck_assert_uint_lt(*n, 65535);
    exactly(client, (uint8_t *)payload, *n);
    payload[*n] = '\0';
    return head[0] & 15;
}

/* The code with which the server says goodbye; what came before is thrown away. */
static int goodbye(struct client *client)
{
    static char payload[65536];
    size_t n;
    while (hear(client, payload, &n) != 8)
        ;
    return n < 2 ? 0 : (uint8_t)payload[0] << 8 | (uint8_t)payload[1];
}

/* Numbers of all answers until it says goodbye; how many. */
static int hear_all(struct client *client, float *to, int most)
{
    static char payload[65536];
    size_t size;
    int n = 0;
    while (hear(client, payload, &size) == 1) {
        struct reply reply = {.status = 200, .body = payload, .n_bytes = size};
        const int some = reply_floats(&reply, to + n, most - n);
        ck_assert_msg(some >= 0, "%s", payload);
        n += some;
    }
    ck_assert_uint_ge(size, 2);
    ck_assert_mem_eq(payload, "\x03\xe8", 2);
    return n;
}

#define END "{\"end\":true}"

START_TEST(a_sound_is_heard_as_if_it_had_been_posted)
{
    struct rig rig;
    float want[HEARD_N], got[HEARD_N];
    uint8_t bytes[2 * HEARD_N];
    if (!begin(&rig))
        return;
    const int n = heard_sums(want);
    heard_record(bytes);
    for (int n_piece = 1; n_piece <= 2 * HEARD_N; n_piece += 3) {
        struct client client;
        open_at(&rig, &client, STREAM, "");
        for (int at = 0; at < 2 * HEARD_N; at += n_piece)
            send_frame(&client, 2, bytes + at, (size_t)(n_piece < 2 * HEARD_N - at ? n_piece : 2 * HEARD_N - at));
        send_frame(&client, 1, END, strlen(END));
        ck_assert_int_eq(hear_all(&client, got, HEARD_N), n);
        ck_assert_mem_eq(got, want, (size_t)n * sizeof *got);
        send_frame(&client, 8, "\x03\xe8", 2);
        char byte;
        ck_assert_int_eq(recv(client.fd, &byte, 1, 0), 0);
        client_close(&client);
    }
    ck_assert(rig_metric(&rig, "perceptd_sequences{") == 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(answers_come_while_the_sound_goes_on)
{
    static char payload[65536];
    struct rig rig;
    struct client client;
    size_t n;
    if (!begin(&rig))
        return;
    open_at(&rig, &client, STREAM "&sequence_id=7", "");
    send_frame(&client, 2, "\x01\x00\x02\x00\x03\x00\x04\x00\x05", 9);
    ck_assert_int_eq(hear(&client, payload, &n), 1);
    ck_assert_ptr_nonnull(strstr(payload, "\"data\":[10.0]"));
    send_frame(&client, 9, "p", 1);
    ck_assert_int_eq(hear(&client, payload, &n), 10);
    client_close(&client);
    struct reply reply =
        rig_ask(&rig, "POST", "/v2/models/sum/infer?sequence_id=7", HEARD_RAW, "\x00\x06\x00\x07\x00", 5);
    ck_assert_msg(strstr(reply.body, "\"data\":[35.0]"), "%s", reply.body); /* it was named, and stays */
    reply_free(&reply);
    open_at(&rig, &client, STREAM "&sequence_id=7&sequence_start=false", "");
    send_frame(&client, 1, END, strlen(END));
    ck_assert_int_eq(goodbye(&client), 1000);
    client_close(&client);
    rig_finish(&rig);
}
END_TEST

START_TEST(a_sound_comes_back_in_the_bytes_order_of_the_one_that_goes_in)
{
    static const struct {
        const char *type, *samples, *back;
    } cases[] = {{"audio/x-raw;format=S16LE;rate=8000", "\x00\x01\x00\x01\x00\x03\x00\x03", "\x00\x02"},
                 {"audio/L16;rate=8000", "\x01\x00\x01\x00\x03\x00\x03\x00", "\x02\x00"}};
    static char payload[65536];
    struct rig rig;
    if (!begin(&rig))
        return;
    for (int i = 0; i < 2; i++) {
        struct client client;
        char path[100];
        size_t n;
        snprintf(path, sizeof path, "/v2/models/loud/stream?type=%s", cases[i].type);
        open_at(&rig, &client, path, "");
        send_frame(&client, 2, cases[i].samples, 8);
        ck_assert_int_eq(hear(&client, payload, &n), 2);
        ck_assert_uint_eq(n, 2);
        ck_assert_mem_eq(payload, cases[i].back, 2);
        client_close(&client);
    }
    rig_finish(&rig);
}
END_TEST

static const struct {
    uint8_t opcode;
    const char *payload;
    size_t n;
    int code;
} wrong[] = {
    {1, "{}", 2, 0},      {1, "{\"end\":1}", 9, 1008}, {1, "{\"stop\":true}", 13, 1008}, {1, "hello", 5, 1008},
    {1, "\xff", 1, 1007}, {3, "x", 1, 1002},           {8, "\x03\xe8", 2, 1000},
};

START_TEST(what_is_no_message_ends_it_with_its_code)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct client client;
        open_at(&rig, &client, STREAM, "");
        send_frame(&client, wrong[i].opcode, wrong[i].payload, wrong[i].n);
        if (wrong[i].code)
            ck_assert_int_eq(goodbye(&client), wrong[i].code);
        client_close(&client);
    }
    struct client client;
    open_at(&rig, &client, STREAM, "");
    send_frame(&client, 2, "\x01\x00\x02", 3);
    send_frame(&client, 1, END, strlen(END)); /* within a sample */
    ck_assert_int_eq(goodbye(&client), 1008);
    client_close(&client);
    struct reply reply = rig_get(&rig, "/v2/health/live");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    rig_finish(&rig);
}
END_TEST

/* Each is a connection that is cut; what it had begun is gone, and nobody else notices. */
START_TEST(whoever_leaves_at_any_byte_leaves_nothing)
{
    uint8_t bytes[600];
    struct rig rig;
    if (!begin(&rig))
        return;
    size_t n = (size_t)snprintf((char *)bytes, sizeof bytes, "GET " STREAM " HTTP/1.1\r\nHost: x\r\n" HANDSHAKE "\r\n");
    const size_t n_head = n;
    n += frame(bytes + n, 2, "\x01\x00\x02\x00\x03\x00\x04\x00\x05", 9);
    n += frame(bytes + n, 1, END, strlen(END));
    for (size_t cut = 1; cut <= n; cut++) {
        struct client client;
        char head[2000];
        ck_assert(client_open(&client, rig.port));
        ck_assert(client_send(&client, bytes, cut < n_head ? cut : n_head));
        if (cut >= n_head)
            ck_assert_int_eq(opened(&client, head, sizeof head), 101);
        if (cut > n_head)
            ck_assert(client_send(&client, bytes + n_head, cut - n_head));
        if (cut % 2) /* half of them by a reset */
            setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
        client_close(&client);
    }
    const int64_t until_us = rig_now_us() + (int64_t)RIG_PATIENCE_MS * 1000;
    while (rig_metric(&rig, "perceptd_sequences{") > 0 || rig_metric(&rig, "perceptd_connections ") > 1) {
        ck_assert_msg(rig_now_us() < until_us, "something of those who left stays");
        rig_pause(5);
    }
    rig_finish(&rig);
}
END_TEST

START_TEST(frames_behind_the_head_wait_for_its_answer)
{
    uint8_t bytes[600];
    struct rig rig;
    struct client client;
    if (!begin(&rig))
        return;
    size_t n = (size_t)snprintf((char *)bytes, sizeof bytes, "GET " STREAM " HTTP/1.1\r\nHost: x\r\n" HANDSHAKE "\r\n");
    n += frame(bytes + n, 1, END, strlen(END));
    ck_assert(client_open(&client, rig.port));
    ck_assert(client_send(&client, bytes, n)); /* RFC 6455, 4.1: it must not; whatever comes of it, the socket ends */
    char byte;
    while (recv(client.fd, &byte, 1, 0) > 0)
        ;
    client_close(&client);
    struct reply reply = rig_get(&rig, "/v2/health/live");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    rig_finish(&rig);
}
END_TEST

static const struct {
    const char *more;
    int status;
} doors[] = {
    {"", 401},
    {"Authorization: Bearer infer-key\r\n", 101},
    {"X-API-Key: infer-key\r\n", 101},
    {"Authorization: Bearer read-key\r\n", 403},
    {"Sec-WebSocket-Protocol: perceptd, key.infer-key\r\n", 101},
    {"Sec-WebSocket-Protocol: key.infer-key\r\n", 101},
    {"Sec-WebSocket-Protocol: key.read-key\r\n", 403},
    {"Sec-WebSocket-Protocol: key.infer-ke\r\n", 401},
    {"Sec-WebSocket-Protocol: monkey.infer-key\r\n", 401},
    {"Sec-WebSocket-Protocol: key.\r\n", 401},
    {"Sec-WebSocket-Protocol: key.infer-key\r\nAuthorization: Bearer wrong\r\n", 401},
    {"X-API-Key: infer-key\r\nOrigin: http://here:80\r\n", 101},
    {"X-API-Key: infer-key\r\nOrigin: https://app.example\r\n", 101},
    {"X-API-Key: infer-key\r\nOrigin: https://app.example.org\r\n", 403},
    {"X-API-Key: infer-key\r\nOrigin: http://nothere:80\r\n", 403},
    {"X-API-Key: infer-key\r\nOrigin: null\r\n", 403},
};

START_TEST(only_those_who_may_come_in)
{
    struct rig rig;
    char head[2000];
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    heard_write_sum(&rig, "sum", "{\"manifest\":1," HEARD_SOUND "," HEARD_SEQUENCE "}");
    rig_write(&rig, "keys", KEYS, strlen(KEYS));
    rig_start(&rig, "%s/models --cors-origin https://app.example --api-key-file %s/keys", rig.folder, rig.folder);
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++) {
        struct client client;
        ck_assert(client_open(&client, rig.port));
        say(&client, STREAM, doors[i].more);
        const int status = opened(&client, head, sizeof head);
        ck_assert_msg(status == doors[i].status, "%s: %s", doors[i].more, head);
        const bool named = strstr(doors[i].more, "perceptd") != NULL;
        ck_assert_int_eq(strstr(head, "Sec-WebSocket-Protocol: perceptd\r\n") != NULL, named);
        client_close(&client);
    }
    rig_finish(&rig);
}
END_TEST

START_TEST(the_stop_says_goodbye_to_those_who_wait)
{
    struct rig rig;
    struct client client;
    static char payload[65536];
    size_t n;
    if (!begin(&rig))
        return;
    open_at(&rig, &client, STREAM, "");
    send_frame(&client, 2, "\x01\x00\x02\x00\x03\x00\x04\x00\x05", 9);
    ck_assert_int_eq(hear(&client, payload, &n), 1);
    free(rig_shell(NULL, "kill -TERM %d", (int)rig.pid));
    ck_assert_int_eq(goodbye(&client), 1001);
    send_frame(&client, 8, "\x03\xe9", 2);
    char byte;
    ck_assert_int_eq(recv(client.fd, &byte, 1, 0), 0);
    client_close(&client);
    ck_assert_int_eq(rig_wait(&rig), 0);
    rig_end(&rig);
}
END_TEST

/* Nor is it kept waiting by one who never answers. */
START_TEST(the_stop_does_not_wait_for_the_silent)
{
    struct rig rig;
    struct client client;
    if (!begin(&rig))
        return;
    open_at(&rig, &client, STREAM, "");
    ck_assert_int_eq(rig_stop(&rig), 0);
    client_close(&client);
    rig_end(&rig);
}
END_TEST

Suite *daemon_sockets_suite(void)
{
    Suite *suite = suite_create("daemon/sockets");
    TCase *tests = tcase_create("sockets");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_sound_is_heard_as_if_it_had_been_posted);
    tcase_add_test(tests, answers_come_while_the_sound_goes_on);
    tcase_add_test(tests, a_sound_comes_back_in_the_bytes_order_of_the_one_that_goes_in);
    tcase_add_test(tests, what_is_no_message_ends_it_with_its_code);
    tcase_add_test(tests, whoever_leaves_at_any_byte_leaves_nothing);
    tcase_add_test(tests, frames_behind_the_head_wait_for_its_answer);
    tcase_add_test(tests, only_those_who_may_come_in);
    tcase_add_test(tests, the_stop_says_goodbye_to_those_who_wait);
    tcase_add_test(tests, the_stop_does_not_wait_for_the_silent);
    suite_add_tcase(suite, tests);
    return suite;
}
