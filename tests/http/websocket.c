/*
 * websocket.c - frames of every kind from a client that is a pair's other end: what is told, what is answered, with
 * which code it ends. The cases are those of the Autobahn suite's chapters (framing, pings, reserved bits, opcodes,
 * fragments, UTF-8, closing, limits), written anew.
 *
 * A script is a list of frames: F final, f not; the opcode's digit; a payload in parentheses. "F1(hi)" is a text.
 */
#include "http/websocket.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Suite *http_websocket_suite(void);

#define MOST 200

static struct websocket *ws;
static int client;
static char told[4096];
static int n_over, n_left, n_changed;
static bool pauses;

static void on_message(void *user, bool is_text, struct bytes message)
{
    (void)user;
    size_t used = strlen(told);
    snprintf(told + used, sizeof told - used, "%c(%.*s)", is_text ? 't' : 'b', (int)bytes_size(message),
             (const char *)message.at);
    if (pauses)
        websocket_pause(ws, true);
}

static void on_sent(void *user)
{
    (void)user;
}

static void on_leave(void *user)
{
    (void)user;
    n_left++;
}

static void on_over(void *user)
{
    (void)user;
    n_over++;
}

static void on_changed(void *user)
{
    (void)user;
    n_changed++;
}

static const struct websocket_calls calls = {
    .message = on_message, .sent = on_sent, .leave = on_leave, .over = on_over};

static int server_fd;

static void begin_with(const char *early)
{
    int pair[2];
    struct percept_err err = {0};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    client = pair[0];
    server_fd = pair[1];
    told[0] = '\0';
    n_over = n_left = n_changed = 0;
    pauses = false;
    ws = websocket_new(&calls, NULL, MOST, &err);
    ck_assert_ptr_nonnull(ws);
    ck_assert(websocket_open(ws, server_fd, bytes_of_text(early), 1000, on_changed, NULL));
}

static void begin(void)
{
    begin_with("");
}

static void end(void)
{
    websocket_free(ws);
    ck_assert_int_eq(n_over, 1);
    close(client);
    close(server_fd);
}

/* As a client does it, masked unless `bare`. Returns its length. */
static size_t frame(uint8_t *to, uint8_t first, const char *payload, size_t n, bool bare)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t used = 0;
    const uint8_t bit = bare ? 0 : 0x80;
    to[used++] = first;
    if (n < 126) {
        to[used++] = (uint8_t)(bit | n);
    } else {
        to[used++] = bit | 126;
        to[used++] = (uint8_t)(n >> 8);
        to[used++] = (uint8_t)n;
    }
    for (int i = 0; i < 4 && !bare; i++)
        to[used++] = mask[i];
    for (size_t i = 0; i < n; i++)
        to[used++] = (uint8_t)payload[i] ^ (bare ? 0 : mask[i % 4]);
    return used;
}

static size_t frames(uint8_t *to, const char *script)
{
    size_t used = 0;
    while (*script) {
        const uint8_t fin = *script++ == 'F' ? 0x80 : 0;
        uint8_t reserved = 0;
        bool bare = false;
        for (; *script == 'r' || *script == 'u'; script++) {
            reserved |= *script == 'r' ? 0x40 : 0;
            bare |= *script == 'u';
        }
        const uint8_t opcode = (uint8_t)(*script <= '9' ? *script - '0' : *script - 'a' + 10);
        const char *from = script + 2, *to_end = strchr(from, ')');
        used += frame(to + used, fin | reserved | opcode, from, (size_t)(to_end - from), bare);
        script = to_end + 1;
    }
    return used;
}

/* Turns of the loop, until nothing moves. */
static bool turn(int64_t now_ms)
{
    bool on = true;
    for (int i = 0; i < 20 && on; i++) {
        struct pollfd poll_fd = {.fd = server_fd, .events = POLLIN};
        on = websocket_go_on(ws, poll(&poll_fd, 1, 0) > 0, true, now_ms);
    }
    return on;
}

/* What the server sent, as a script: closings with their codes. */
static const char *heard(void)
{
    static char text[8192];
    static uint8_t bytes[8192];
    const ssize_t n = recv(client, bytes, sizeof bytes, MSG_DONTWAIT);
    size_t used = 0, at = 0;
    text[0] = '\0';
    while (n > 0 && at + 2 <= (size_t)n) {
        size_t length = bytes[at + 1];
        const uint8_t first = bytes[at];
        ck_assert_msg(!(length & 0x80), "a server masks nothing");
        at += 2;
        if (length == 126) {
            length = (size_t)bytes[at] << 8 | bytes[at + 1];
            at += 2;
        }
        ck_assert_uint_le(at + length, (size_t)n);
        if ((first & 15) == 8 && length >= 2)
            used += (size_t)snprintf(text + used, sizeof text - used, "close(%d)", bytes[at] << 8 | bytes[at + 1]);
        else
            used += (size_t)snprintf(text + used, sizeof text - used, "%x(%.*s)", first & 15, (int)length,
                                     (const char *)bytes + at);
        at += length;
    }
    return text;
}

static const struct {
    const char *script, *told, *heard;
    bool over; /* at once; else the socket stays, or waits for the client's end */
} cases[] = {
    /* framing */
    {"F1()", "t()", "", false},
    {"F2(abc)", "b(abc)", "", false},
    {"F1(Hello)F1(World)", "t(Hello)t(World)", "", false},
    {"Fu1(x)", "", "close(1002)", false}, /* not masked */
    /* pings */
    {"F9()", "", "a()", false},
    {"F9(abc)", "", "a(abc)", false},
    {"Fa(abc)", "", "", false}, /* a pong that nobody asked for */
    {"F9(1)F9(2)F9(3)", "", "a(1)a(2)a(3)", false},
    {"f9(x)", "", "close(1002)", false}, /* a control frame in fragments */
    /* reserved bits and opcodes */
    {"Fr1(x)", "", "close(1002)", false},
    {"F1(a)Fr9(x)", "t(a)", "close(1002)", false},
    {"F3(x)", "", "close(1002)", false},
    {"F7(x)", "", "close(1002)", false},
    {"Fb(x)", "", "close(1002)", false},
    {"Ff(x)", "", "close(1002)", false},
    /* fragments */
    {"f1(Hel)F0(lo)", "t(Hello)", "", false},
    {"f2(a)f0(b)f0(c)F0(d)", "b(abcd)", "", false},
    {"f1(Hel)F9(p)F0(lo)", "t(Hello)", "a(p)", false},
    {"f1()f0()F0()", "t()", "", false},
    {"F0(x)", "", "close(1002)", false},
    {"f1(a)F0(b)F0(c)", "t(ab)", "close(1002)", false},
    {"f1(a)F1(b)", "", "close(1002)", false},
    /* UTF-8, which may be cut anywhere */
    {"F1(\xce\xba\xe1\xbd\xb9)", "t(\xce\xba\xe1\xbd\xb9)", "", false},
    {"f1(\xce)F0(\xba)", "t(\xce\xba)", "", false},
    {"F1(\xce)", "", "close(1007)", false},
    {"F1(\xed\xa0\x80)", "", "close(1007)", false}, /* half of a pair */
    {"F1(\xf4\x90\x80\x80)", "", "close(1007)", false},
    {"F1(\xc0\xaf)", "", "close(1007)", false},
    {"f1(\xff)F0(x)", "", "close(1007)", false},
    {"F2(\xff\xfe)", "b(\xff\xfe)", "", false},
    /* closing */
    {"F8()", "", "8()", true},
    {"F8(\x03\xe8)", "", "close(1000)", true},
    {"F8(\x03\xe9gone)", "", "close(1001)", true},
    {"F8(\x0b\xb8)", "", "close(3000)", true},
    {"F8(x)", "", "8()", true},                 /* half a code */
    {"F8(\x03\xed)", "", "close(1002)", false}, /* 1005: never sent */
    {"F8(\x03\xe7)", "", "close(1002)", false}, /* 999 */
    {"F8(\x03\xe8\xff)", "", "close(1007)", false},
    {"F8(\x03\xe8)F1(late)", "", "close(1000)", true},
    {"F1(a)F8(\x03\xe8)", "t(a)", "close(1000)", true},
};

START_TEST(frames_are_answered_as_the_standard_says)
{
    uint8_t bytes[1024];
    begin();
    const size_t n = frames(bytes, cases[_i].script);
    ck_assert_int_eq(send(client, bytes, n, 0), (ssize_t)n);
    const bool on = turn(1001);
    ck_assert_msg(strcmp(told, cases[_i].told) == 0, "%s: told %s", cases[_i].script, told);
    const char *got = heard();
    ck_assert_msg(strcmp(got, cases[_i].heard) == 0, "%s: heard %s", cases[_i].script, got);
    ck_assert_msg(on == !cases[_i].over, "%s", cases[_i].script);
    if (*cases[_i].heard == 'c') /* whoever hangs up then has it over */
        shutdown(client, SHUT_WR);
    ck_assert_int_eq(turn(1002), *cases[_i].heard != 'c' && !cases[_i].over);
    end();
}
END_TEST

START_TEST(bytes_may_come_one_by_one)
{
    uint8_t bytes[1024];
    begin();
    const size_t n = frames(bytes, "f1(Hel)F9(p)F0(lo)F2(abc)");
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(send(client, bytes + i, 1, 0), 1);
        ck_assert(turn(1001));
    }
    ck_assert_str_eq(told, "t(Hello)b(abc)");
    ck_assert_str_eq(heard(), "a(p)");
    end();
}
END_TEST

START_TEST(whoever_leaves_at_any_byte_is_gone)
{
    uint8_t bytes[1024];
    const size_t n = frames(bytes, "f1(Hel)F9(p)F0(lo)F2(abc)");
    for (size_t i = 0; i <= n; i++) {
        begin();
        ck_assert_int_eq(send(client, bytes, i, 0), (ssize_t)i);
        shutdown(client, SHUT_WR);
        ck_assert(!turn(1001));
        end();
    }
}
END_TEST

START_TEST(what_came_behind_the_head_is_read_first)
{
    uint8_t bytes[64];
    char early[64] = "";
    memcpy(early, bytes, frames(bytes, "F1(early)")); /* no zero among them */
    memcpy(early, bytes, frames(bytes, "F1(early)"));
    begin_with(early);
    ck_assert_uint_eq(websocket_wants(ws) & WEBSOCKET_WRITE, WEBSOCKET_WRITE); /* so that it is called */
    ck_assert(turn(1001));
    ck_assert_str_eq(told, "t(early)");
    end();
}
END_TEST

static const struct {
    int n, n_more; /* of a first fragment, and a second */
    bool good;
} lengths[] = {{MOST, -1, true}, {MOST + 1, -1, false}, {MOST - 1, 1, true}, {MOST, 1, false}, {126, -1, true}};

START_TEST(a_message_has_so_many_bytes_at_most)
{
    uint8_t bytes[1024];
    char payload[512];
    memset(payload, 'x', sizeof payload);
    begin();
    size_t n = frame(bytes, lengths[_i].n_more < 0 ? 0x82 : 2, payload, (size_t)lengths[_i].n, false);
    if (lengths[_i].n_more >= 0)
        n += frame(bytes + n, 0x80, payload, (size_t)lengths[_i].n_more, false);
    ck_assert_int_eq(send(client, bytes, n, 0), (ssize_t)n);
    ck_assert(turn(1001));
    ck_assert_int_eq(told[0] == 'b', lengths[_i].good);
    ck_assert_str_eq(heard(), lengths[_i].good ? "" : "close(1009)");
    end();
}
END_TEST

/* A length that nobody could keep is refused by its head, one that no frame may have too. */
START_TEST(a_length_of_exabytes_is_only_a_number)
{
    const uint8_t head[] = {0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 'x'};
    const uint8_t negative[] = {0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 'x'};
    begin();
    ck_assert_int_eq(send(client, head, sizeof head, 0), sizeof head);
    ck_assert(turn(1001));
    ck_assert_str_eq(heard(), "close(1009)");
    end();
    begin();
    ck_assert_int_eq(send(client, negative, sizeof negative, 0), sizeof negative);
    ck_assert(turn(1001));
    ck_assert_str_eq(heard(), "close(1002)");
    end();
}
END_TEST

START_TEST(silence_is_pinged_and_then_over)
{
    uint8_t bytes[64];
    begin(); /* at 1000 */
    ck_assert(websocket_tick(ws, 1000 + WEBSOCKET_PING_MS - 1));
    ck_assert_str_eq(heard(), "");
    ck_assert(websocket_tick(ws, 1000 + WEBSOCKET_PING_MS));
    ck_assert_str_eq(heard(), "9()");
    ck_assert(websocket_tick(ws, 1000 + 2 * WEBSOCKET_PING_MS - 1));
    ck_assert_str_eq(heard(), ""); /* once */
    const size_t n = frames(bytes, "Fa()");
    ck_assert_int_eq(send(client, bytes, n, 0), (ssize_t)n);
    ck_assert(turn(50000));
    ck_assert(websocket_tick(ws, 50000 + WEBSOCKET_PING_MS - 1));
    ck_assert_str_eq(heard(), "");
    ck_assert(websocket_tick(ws, 50000 + WEBSOCKET_PING_MS));
    ck_assert_str_eq(heard(), "9()");
    ck_assert(!websocket_tick(ws, 50000 + 2 * WEBSOCKET_PING_MS));
    end();
}
END_TEST

START_TEST(a_goodbye_is_waited_for_a_while)
{
    begin();
    websocket_close(ws, WEBSOCKET_AWAY, "the server stops");
    ck_assert_int_ge(n_changed, 1);
    ck_assert_str_eq(heard(), "close(1001)");
    websocket_send(ws, true, bytes_of_text("late"));
    websocket_close(ws, WEBSOCKET_NORMAL, "");
    ck_assert_str_eq(heard(), "");
    ck_assert(turn(1001));
    ck_assert(websocket_tick(ws, 1000 + WEBSOCKET_CLOSE_MS - 1));
    ck_assert(!websocket_tick(ws, 1000 + WEBSOCKET_CLOSE_MS));
    end();
}
END_TEST

START_TEST(a_reason_is_cut_between_characters)
{
    char reason[200];
    uint8_t bytes[300];
    begin();
    memset(reason, 'x', 122);
    strcpy(reason + 122, "\xc3\xa4 and more");
    websocket_close(ws, WEBSOCKET_REFUSED, reason);
    ck_assert_int_eq(recv(client, bytes, sizeof bytes, MSG_DONTWAIT), 2 + 2 + 122);
    end();
}
END_TEST

START_TEST(whoever_pauses_leaves_the_socket_unread)
{
    uint8_t bytes[64];
    begin();
    pauses = true;
    size_t n = frames(bytes, "F1(a)");
    ck_assert_int_eq(send(client, bytes, n, 0), (ssize_t)n);
    ck_assert(turn(1001));
    n = frames(bytes, "F1(b)");
    ck_assert_int_eq(send(client, bytes, n, 0), (ssize_t)n);
    ck_assert_uint_eq(websocket_wants(ws) & WEBSOCKET_READ, 0);
    ck_assert(turn(1002));
    ck_assert_str_eq(told, "t(a)");
    ck_assert(websocket_tick(ws, 1000000)); /* its silence is ours */
    ck_assert_str_eq(heard(), "");
    pauses = false;
    websocket_pause(ws, false);
    ck_assert_uint_eq(websocket_wants(ws) & WEBSOCKET_READ, WEBSOCKET_READ);
    ck_assert(turn(1003));
    ck_assert_str_eq(told, "t(a)t(b)");
    end();
}
END_TEST

/* Who sends pings and reads nothing is left unread, with few answers waiting. */
START_TEST(a_flood_of_pings_fills_nothing)
{
    uint8_t bytes[64];
    begin();
    const size_t n = frames(bytes, "F9(0123456789012345678901234567890123456789)");
    for (int i = 0; i < 100000 && websocket_wants(ws) & WEBSOCKET_READ; i++) {
        ck_assert_int_eq(send(client, bytes, n, MSG_DONTWAIT), (ssize_t)n);
        ck_assert(turn(1001));
    }
    ck_assert_uint_eq(websocket_wants(ws) & WEBSOCKET_READ, 0);
    ck_assert_uint_lt(websocket_unsent(ws), 20000);
    end();
}
END_TEST

START_TEST(the_server_stops_once)
{
    begin();
    websocket_leave(ws);
    websocket_leave(ws);
    ck_assert_int_eq(n_left, 1);
    end();
    websocket_free(NULL);
}
END_TEST

/* --- the handshake ------------------------------------------------------------------------------------------------ */

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static const struct {
    const char *version, *connection, *upgrade, *key, *ws_version, *says;
} handshakes[] = {
    {"HTTP/1.1", "Upgrade", "websocket", KEY, "13", NULL},
    {"HTTP/1.1", "keep-alive, UPGRADE", "h2c, WebSocket ", KEY, "13", NULL},
    {"HTTP/1.0", "Upgrade", "websocket", KEY, "13", "this path is a WebSocket"},
    {"HTTP/1.1", "keep-alive", "websocket", KEY, "13", "this path is a WebSocket"},
    {"HTTP/1.1", "Upgrades", "websocket", KEY, "13", "this path is a WebSocket"},
    {"HTTP/1.1", NULL, "websocket", KEY, "13", "this path is a WebSocket"},
    {"HTTP/1.1", "Upgrade", "web socket", KEY, "13", "this path is a WebSocket"},
    {"HTTP/1.1", "Upgrade", NULL, KEY, "13", "this path is a WebSocket"},
    {"HTTP/1.1", "Upgrade", "websocket", KEY, "8", "must be 13"},
    {"HTTP/1.1", "Upgrade", "websocket", KEY, NULL, "must be 13"},
    {"HTTP/1.1", "Upgrade", "websocket", NULL, "13", "16 bytes in base64"},
    {"HTTP/1.1", "Upgrade", "websocket", "dGhlIHNhbXBsZSBub25jZQ", "13", "16 bytes in base64"},
    {"HTTP/1.1", "Upgrade", "websocket", "dGhlIHNhbXBsZSBub25jZQ=!", "13", "16 bytes in base64"},
    {"HTTP/1.1", "Upgrade", "websocket", "AAAAAAAAAAAAAAAAAAAAAAAA", "13", "16 bytes in base64"},
};

static struct bytes text_or_none(const char *text)
{
    return text ? bytes_of_text(text) : (struct bytes){0};
}

START_TEST(a_handshake_is_judged)
{
    struct framing headers;
    struct percept_err err = {0};
    char accept[WEBSOCKET_ACCEPT] = "";
    framing_start(&headers, handshakes[_i].version);
    headers.connection = text_or_none(handshakes[_i].connection);
    headers.upgrade = text_or_none(handshakes[_i].upgrade);
    headers.ws_key = text_or_none(handshakes[_i].key);
    headers.ws_version = text_or_none(handshakes[_i].ws_version);
    ck_assert_int_eq(websocket_handshake(&headers, accept, &err), handshakes[_i].says == NULL);
    if (handshakes[_i].says)
        ck_assert_msg(strstr(err.text, handshakes[_i].says), "%s", err.text);
    else
        ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* RFC 6455, 1.3 */
}
END_TEST

Suite *http_websocket_suite(void)
{
    Suite *suite = suite_create("http/websocket");
    TCase *tests = tcase_create("websocket");
    tcase_add_loop_test(tests, frames_are_answered_as_the_standard_says, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tests, bytes_may_come_one_by_one);
    tcase_add_test(tests, whoever_leaves_at_any_byte_is_gone);
    tcase_add_test(tests, what_came_behind_the_head_is_read_first);
    tcase_add_loop_test(tests, a_message_has_so_many_bytes_at_most, 0, sizeof lengths / sizeof *lengths);
    tcase_add_test(tests, a_length_of_exabytes_is_only_a_number);
    tcase_add_test(tests, silence_is_pinged_and_then_over);
    tcase_add_test(tests, a_goodbye_is_waited_for_a_while);
    tcase_add_test(tests, a_reason_is_cut_between_characters);
    tcase_add_test(tests, whoever_pauses_leaves_the_socket_unread);
    tcase_add_test(tests, a_flood_of_pings_fills_nothing);
    tcase_add_test(tests, the_server_stops_once);
    tcase_add_loop_test(tests, a_handshake_is_judged, 0, sizeof handshakes / sizeof *handshakes);
    suite_add_tcase(suite, tests);
    return suite;
}
