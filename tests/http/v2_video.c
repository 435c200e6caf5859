/*
 * v2_video.c - videos against a daemon: frames in order, live readers, those that fail, senders that never stop, and
 * clients that leave at every byte. "relu" takes pictures of 2 by 1 pixels here.
 */
#include "http/v2_video.h"

#include "daemon.h"
#include "serve/encoder_jpeg.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

Suite *http_v2_video_suite(void);

#define HOUR_MS 3600000
#define MANIFEST                                                                                                       \
    "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":[1,2],\"channels\":\"gray\",\"layout\":\"flat\","  \
    "\"scale\":1}},\"labels\":[\"left\",\"right\"],\"task\":{\"kind\":\"classify\",\"output\":\"y\",\"top_k\":1}}"
#define HEAD "POST " RELU_PATH
#define CHUNKED " HTTP/1.1\r\nHost: x\r\nContent-Type: video/x-motion-jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
#define END "0\r\n\r\n"

static struct daemon host;
static struct client client, reader, other;
static struct arena arena;

/* The JPEG of a picture whose left pixel is brighter, or its right one. */
static struct bytes jpeg(bool right)
{
    const uint8_t pixels[] = {right ? 0 : 200, right ? 200 : 0};
    const struct picture picture = {.width = 2, .height = 1, .channels = 1, .pixels = (uint8_t *)(uintptr_t)pixels};
    struct writer w = {.arena = &arena};
    struct percept_err err = {0};
    ck_assert_msg(encoder_jpeg_write(&w, &picture, &err), "%s", err.text);
    return bytes_of(w.at, w.used);
}

static void start(struct settings settings, const char *keys)
{
    daemon_manifest = MANIFEST;
    daemon_start(&host, &settings, keys);
    daemon_manifest = NULL;
}

static struct settings patient(void)
{
    struct settings settings = daemon_settings();
    settings.header_timeout_ms = settings.body_timeout_ms = settings.idle_timeout_ms = HOUR_MS;
    settings.drain_timeout_ms = HOUR_MS;
    return settings;
}

/* Frames wait for company for an hour. */
static struct settings slow(void)
{
    struct settings settings = patient();
    settings.max_queue_delay_us = (int64_t)HOUR_MS * 1000;
    settings.max_batch_size = 64;
    return settings;
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
    arena_free(&arena);
}

static void send_chunk(struct client *to, struct bytes bytes)
{
    char head[32];
    snprintf(head, sizeof head, "%zx\r\n", bytes_size(bytes));
    client_send(to, head);
    ck_assert(client_send_bytes(to, bytes.at, bytes_size(bytes)));
    client_send(to, "\r\n");
}

/* The reply that is chunked: what has come of it once `text` is there. */
static void expect_text(struct client *from, const char *text)
{
    while (!strstr(from->bytes, text)) {
        ssize_t n = recv(from->fd, from->bytes + from->n_bytes, sizeof from->bytes - 1 - from->n_bytes, 0);
        ck_assert_msg(n > 0, "the stream ends without %s: %s", text, from->bytes);
        from->n_bytes += (size_t)n;
        from->bytes[from->n_bytes] = '\0';
    }
}

static struct reply ask(const char *query, const char *type, const char *more, struct bytes body)
{
    char head[512];
    client_open(&other, &host);
    snprintf(head, sizeof head, HEAD "%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n",
             query, type, more, bytes_size(body));
    client_send(&other, head);
    client_send_bytes(&other, body.at, bytes_size(body));
    struct reply reply = client_reply(&other);
    client_close(&other);
    return reply;
}

static struct bytes joined(const struct bytes *pieces, int n)
{
    size_t n_bytes = 0;
    uint8_t *to = arena_alloc(&arena, 1 << 18);
    for (int i = 0; i < n; i++) {
        memcpy(to + n_bytes, pieces[i].at, bytes_size(pieces[i]));
        n_bytes += bytes_size(pieces[i]);
    }
    return bytes_of(to, n_bytes);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

START_TEST(frames_are_answered_in_order)
{
    struct bytes all[20];
    start(patient(), NULL);
    for (int i = 0; i < 20; i++)
        all[i] = jpeg(i % 3 == 0);
    struct reply reply = ask("", "video/x-motion-jpeg", "", joined(all, 20));
    ck_assert_int_eq(reply.status, 200);
    ck_assert(reply_has_header(&reply, "Content-Type: application/x-ndjson"));
    const char *line = reply.body;
    for (int i = 0; i < 20; i++) {
        char begin[60];
        snprintf(begin, sizeof begin, "{\"frame\":%d,\"model_name\":\"relu\",", i);
        ck_assert_msg(strncmp(line, begin, strlen(begin)) == 0, "%d: %s", i, line);
        const char *label = i % 3 == 0 ? "\"right\"" : "\"left\"", *next = strchr(line, '\n');
        ck_assert(strstr(line, label) && strstr(line, label) < next);
        line = next + 1;
    }
    ck_assert_str_eq(line, "");
    end();
}
END_TEST

START_TEST(a_frame_that_fails_fails_alone)
{
    const struct bytes junk = bytes_of_text("what is this?");
    start(patient(), NULL);
    struct bytes whole = jpeg(false), cut = bytes_of(whole.at, bytes_size(whole) - 20);
    const struct bytes all[] = {junk, whole, junk, cut, whole, bytes_of("\xff\xd8\xff\xd9", 4), whole, cut};
    struct reply reply = ask("", "video/x-motion-jpeg", "", joined(all, 8));
    ck_assert_int_eq(reply.status, 200);
    ck_assert_int_eq(count(reply.body, "\n"), 6);
    ck_assert_int_eq(count(reply.body, "\"predictions\":[[{\"label\":\"left\""), 3);
    ck_assert(reply_has(&reply, "{\"frame\":1,\"error\":\"frame 1 is lost: another one begins before it ends\"}\n"));
    ck_assert(reply_has(&reply, "{\"frame\":3,\"error\":\""));
    ck_assert(reply_has(&reply, "{\"frame\":5,\"error\":\"frame 5 is lost: the video ends within it\"}\n"));
    end();
}
END_TEST

/* A part that is none of a picture, one of its own length, one with a time, one that ends with the body. */
START_TEST(parts_are_frames)
{
    start(patient(), NULL);
    const struct bytes all[] = {
        bytes_of_text("--b\r\nContent-Type: image/jpeg\r\n\r\n"), jpeg(true),
        bytes_of_text("\r\n--b\r\nX-Timestamp: 1.5\r\nContent-Length: 5\r\n\r\nhello\r\n--b\r\n\r\n"), jpeg(false),
        bytes_of_text("\r\n--b--\r\n")};
    struct reply reply = ask("?outputs=true", "multipart/x-mixed-replace;boundary=b", "", joined(all, 5));
    ck_assert_int_eq(reply.status, 200);
    ck_assert_int_eq(count(reply.body, "\n"), 3);
    ck_assert(reply_has(&reply, "{\"frame\":1,\"time\":1.5,\"error\":\""));
    ck_assert_int_eq(count(reply.body, "\"outputs\":[{\"name\":\"y\""), 2);
    ck_assert(reply_has(&reply, "{\"frame\":0,\"model_name\"") && reply_has(&reply, "{\"frame\":2,\"model_name\""));
    end();
}
END_TEST

static const struct {
    const char *query, *type, *more;
    int status;
    const char *part;
} refused[] = {
    {"", "video/x-motion-jpeg", "", 400, "there is no picture in the 4 bytes"},
    {"", "multipart/x-mixed-replace", "", 400, "needs a boundary"},
    {"?stream=", "video/x-mjpeg", "", 400, "'stream' has 1 to 64 letters"},
    {"?stream=a%20b", "video/x-mjpeg", "", 400, "'stream' has 1 to 64 letters"},
    {"?track=yes", "video/x-mjpeg", "", 400, "'track' is true or false"},
    {"?track=true", "video/x-mjpeg", "", 400, "the task of model 'relu' finds none"},
    {"?masks=no", "video/x-mjpeg", "", 400, "'masks' is rle or polygon"},
    {"", "video/x-mjpeg", "X-Request-Timeout-Ms: 0\r\n", 400, "X-Request-Timeout-Ms"},
    {"", "video/x-mjpeg", "Accept: text/csv\r\n", 406, "can be application/x-ndjson"},
    {"", "video/x-mjpeg", "Accept: multipart/x-mixed-replace\r\n", 406, "can be application/x-ndjson"},
    {"", "video/x-mjpeg", "Content-Encoding: gzip\r\n", 415, "not compressed"},
    {"", "video/mp4", "", 415, "'video/mp4'"},
    {"", "video/mp4", "", 415, "video/x-motion-jpeg"},
};

START_TEST(what_is_no_video_is_refused)
{
    start(patient(), NULL);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct reply reply = ask(refused[i].query, refused[i].type, refused[i].more, bytes_of_text("none"));
        ck_assert_msg(reply.status == refused[i].status && reply_has(&reply, refused[i].part), "%zu: %d %s", i,
                      reply.status, reply.body);
    }
    struct reply reply = daemon_ask(&host, "POST", "/v2/models/none/infer", "Content-Type: video/x-mjpeg\r\n", "x");
    ck_assert_int_eq(reply.status, 404);
    end();
}
END_TEST

/* Under the type of a single picture it has to be said that there are several. */
START_TEST(jpegs_in_a_row_are_a_video_where_that_is_clear)
{
    static const struct {
        const char *head;
        int lines;
    } rows[] = {
        {"?stream=a HTTP/1.1\r\n", 2},
        {" HTTP/1.1\r\nAccept: application/x-ndjson\r\n", 2},
        {" HTTP/1.1\r\n", 1},
    };
    start(patient(), NULL);
    for (int i = 0; i < 3; i++) {
        client_open(&client, &host);
        client_send(&client, HEAD);
        client_send(&client, rows[i].head);
        client_send(&client, "Host: x\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n");
        send_chunk(&client, jpeg(false));
        send_chunk(&client, jpeg(true));
        client_send(&client, END);
        struct reply reply = client_reply(&client);
        ck_assert_int_eq(reply.status, 200);
        ck_assert_int_eq(count(reply.body, "\n"), rows[i].lines);
        ck_assert_int_eq(reply_has(&reply, "\"frame\":1,"), rows[i].lines == 2);
        client_close(&client);
    }
    end();
}
END_TEST

static void open_live(const char *query)
{
    client_open(&client, &host);
    client_send(&client, HEAD);
    client_send(&client, query);
    client_send(&client, CHUNKED);
}

START_TEST(readers_see_frames_before_the_video_ends)
{
    start(patient(), NULL);
    open_live("?stream=cam.1");
    daemon_wait_for(&host, "perceptd_connections", 2);
    client_open(&reader, &host);
    while (daemon_get(&host, "/v2/models/relu/streams/cam.1").status == 404)
        ;
    client_send(&reader, "GET /v2/models/relu/streams/cam.1 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_text(&reader, "Content-Type: application/x-ndjson\r\n");
    for (int i = 0; i < 3; i++) {
        char line[40];
        snprintf(line, sizeof line, "{\"frame\":%d,", i);
        send_chunk(&client, jpeg(i == 1));
        expect_text(&reader, line);
    }
    ck_assert_int_eq(ask("?stream=cam.1", "video/x-mjpeg", "", jpeg(true)).status, 409);
    client_send(&client, END);
    struct reply reply = client_reply(&client);
    ck_assert_int_eq(count(reply.body, "\n"), 3);
    expect_text(&reader, "\r\n0\r\n\r\n");
    ck_assert_int_eq(daemon_get(&host, "/v2/models/relu/streams/cam.1").status, 404);
    ck_assert_int_eq(ask("?stream=cam.1", "video/x-mjpeg", "", jpeg(true)).status, 200);
    client_close(&client);
    client_close(&reader);
    end();
}
END_TEST

START_TEST(a_reader_who_hears_nothing_for_long_is_let_go)
{
    struct settings settings = slow();
    settings.body_timeout_ms = 300;
    start(settings, NULL);
    open_live("?stream=a");
    for (int i = 0; i < V2_VIDEO_FRAMES; i++) /* it is full: its sender is not waited for */
        send_chunk(&client, jpeg(true));
    daemon_wait_for(&host, "perceptd_requests_in_flight", V2_VIDEO_FRAMES);
    client_open(&reader, &host);
    client_send(&reader, "GET /v2/models/relu/streams/a HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_text(&reader, "\r\n0\r\n\r\n");
    ck_assert_int_eq(daemon_metric(&host, "perceptd_requests_in_flight"), V2_VIDEO_FRAMES);
    client_close(&reader);
    client_close(&client);
    daemon_wait_for(&host, "perceptd_requests_in_flight", 0);
    end();
}
END_TEST

START_TEST(readers_need_the_key_of_the_sender)
{
    start(patient(), "first infer\nsecond infer\n");
    client_open(&client, &host);
    client_send(&client, HEAD "?stream=a HTTP/1.1\r\nX-API-Key: first\r\nHost: x\r\nContent-Type: video/mjpeg\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n");
    send_chunk(&client, jpeg(true));
    client_open(&reader, &host);
    ck_assert_int_eq(daemon_ask(&host, "GET", "/v2/models/relu/streams/a", "X-API-Key: second\r\n", "").status, 404);
    ck_assert_int_eq(daemon_ask(&host, "GET", "/v2/models/relu/streams/a", "", "").status, 401);
    client_send(&reader, "GET /v2/models/relu/streams/a HTTP/1.1\r\nHost: x\r\nX-API-Key: first\r\n\r\n");
    expect_text(&reader, "200 OK");
    client_send(&client, END);
    ck_assert_int_eq(client_reply(&client).status, 200);
    client_close(&client);
    client_close(&reader);
    end();
}
END_TEST

/* Sends until nothing more is taken, which it is as long as the daemon reads. */
static size_t flood(struct bytes video)
{
    size_t sent = 0;
    for (int tries = 0; tries < 20; tries++) {
        ssize_t n = send(client.fd, video.at, bytes_size(video), MSG_DONTWAIT | MSG_NOSIGNAL);
        ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200); /* it had its turn meanwhile */
        if (n > 0) {
            sent += (size_t)n;
            tries = 0;
        }
    }
    return sent;
}

#define MOST_HELD (64 << 10) /* bytes of the frames under way */

/* 8 frames are under way and never end: the rest of the video stays in sockets, and the loop rests. */
START_TEST(a_sender_that_never_stops_is_left_unread)
{
    enum { JPEGS = 64 };
    struct bytes all[JPEGS];
    start(slow(), NULL);
    for (int i = 0; i < JPEGS; i++)
        all[i] = jpeg(true);
    client_open(&client, &host);
    client_send(&client, HEAD "?stream=a HTTP/1.1\r\nHost: x\r\nContent-Type: video/x-motion-jpeg\r\n"
                              "Content-Length: 1000000000000\r\n\r\n");
    ck_assert_uint_gt(flood(joined(all, JPEGS)), 2 * MOST_HELD);
    ck_assert_int_eq(daemon_metric(&host, "perceptd_requests_in_flight"), V2_VIDEO_FRAMES);
    ck_assert_int_le(daemon_metric(&host, "perceptd_body_bytes"), MOST_HELD);
    const long before = daemon_metric(&host, "perceptd_loop_piece_seconds_count");
    for (int i = 0; i < 100; i++)
        daemon_get(&host, "/v2/health/live");
    const long pieces = daemon_metric(&host, "perceptd_loop_piece_seconds_count") - before;
    ck_assert_msg(pieces < 100 * 12, "the loop did %ld pieces of work for 101 requests", pieces);
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    client_close(&client); /* an end would wait behind what is unread */
    daemon_wait_for(&host, "perceptd_requests_in_flight", 0);
    daemon_wait_for(&host, "perceptd_body_bytes", 0);
    end();
}
END_TEST

/* Where the frames are computed, each goes on where the one before made room, and all of a long video arrive. */
START_TEST(a_long_video_is_read_as_fast_as_it_is_computed)
{
    enum { ROUNDS = 40, JPEGS = 64 };
    struct bytes all[JPEGS];
    start(patient(), NULL);
    for (int i = 0; i < JPEGS; i++)
        all[i] = jpeg(i % 2);
    const struct bytes video = joined(all, JPEGS);
    open_live("?stream=a");
    for (int i = 0; i < ROUNDS; i++)
        send_chunk(&client, video);
    client_send(&client, END);
    struct reply head = client_reply_to_head(&client);
    ck_assert_int_eq(head.status, 200);
    char last[60];
    snprintf(last, sizeof last, "{\"frames\":%d,\"omitted\":", ROUNDS * JPEGS);
    client.bytes[client.n_bytes] = '\0';
    expect_text(&client, last);
    client_close(&client);
    end();
}
END_TEST

START_TEST(what_is_too_long_for_a_reply_needs_a_reader)
{
    enum { JPEGS = 64 };
    struct bytes all[JPEGS];
    struct settings settings = patient();
    settings.max_body_bytes = 2000;
    start(settings, NULL);
    for (int i = 0; i < JPEGS; i++)
        all[i] = jpeg(i % 2);
    struct reply reply = ask("", "video/x-mjpeg", "Connection: close\r\n", joined(all, JPEGS));
    ck_assert_int_eq(reply.status, 413);
    ck_assert_msg(reply_has(&reply, "read along at /v2/models/relu/streams/ID"), "%s", reply.body);
    reply = ask("?stream=b", "video/x-mjpeg", "", joined(all, JPEGS));
    ck_assert_int_eq(reply.status, 200);
    ck_assert(reply_has(&reply, "{\"frames\":64,\"omitted\":"));
    daemon_wait_for(&host, "perceptd_body_bytes", 0);
    end();
}
END_TEST

/* With frames under way that never end, and with such that do. */
START_TEST(a_sender_may_leave_after_every_byte)
{
    start(_i ? slow() : patient(), NULL);
    const struct bytes pieces[] = {bytes_of_text(HEAD "?stream=a HTTP/1.1\r\nHost: x\r\nContent-Type: video/mjpeg\r\n"
                                                      "Content-Length: 100000\r\n\r\n"),
                                   jpeg(true), jpeg(false)};
    const struct bytes request = joined(pieces, 3);
    const long descriptors = daemon_metric(&host, "process_open_fds");
    for (size_t n = 80; n <= bytes_size(request); n += n > 200 && n + 200 < bytes_size(request) ? 7 : 1) {
        const struct linger linger = {.l_onoff = n % 2};
        client_open(&client, &host);
        ck_assert(client_send_bytes(&client, request.at, n));
        setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        client_close(&client);
    }
    daemon_wait_for(&host, "perceptd_connections", 1);
    daemon_wait_for(&host, "perceptd_requests_in_flight", 0);
    daemon_wait_for(&host, "perceptd_body_bytes", 0);
    daemon_wait_for(&host, "process_open_fds", descriptors);
    ck_assert_int_eq(daemon_get(&host, "/v2/models/relu/streams/a").status, 404);
    end();
}
END_TEST

START_TEST(a_reader_may_leave_at_any_time)
{
    start(patient(), NULL);
    open_live("?stream=a");
    send_chunk(&client, jpeg(true));
    daemon_wait_for(&host, "nv_inference_request_success{model=\"relu\",version=\"1\"}", 1);
    for (int i = 0; i <= V2_VIDEO_READERS; i++) { /* one more than there may be */
        client_open(&reader, &host);
        client_send(&reader, "GET /v2/models/relu/streams/a HTTP/1.1\r\nHost: x\r\n\r\n");
        expect_text(&reader, "200 OK");
        client_close(&reader);
        daemon_wait_for(&host, "perceptd_connections", 2);
    }
    send_chunk(&client, jpeg(true));
    client_send(&client, END);
    ck_assert_int_eq(count(client_reply(&client).body, "\n"), 2);
    client_close(&client);
    end();
}
END_TEST

/* Full, in the middle of a frame, whole and under way: the stop waits for nobody. */
START_TEST(a_stop_ends_videos)
{
    start(slow(), NULL);
    open_live("?stream=a");
    for (int i = 0; i < (_i == 0 ? V2_VIDEO_FRAMES + 4 : 2); i++)
        send_chunk(&client, jpeg(true));
    if (_i == 1)
        send_chunk(&client, bytes_of(jpeg(true).at, 50));
    if (_i == 2)
        client_send(&client, END);
    daemon_wait_for(&host, "perceptd_requests_in_flight", _i == 0 ? V2_VIDEO_FRAMES : 2);
    client_open(&reader, &host);
    client_send(&reader, "GET /v2/models/relu/streams/a HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_text(&reader, "200 OK");
    daemon_signal(&host, SIGINT);
    ck_assert_int_eq(daemon_wait(&host), 0);
    ck_assert_int_eq(client_status_or_close(&client), _i == 2 ? 503 : 0);
    client_close(&client);
    client_close(&reader);
    arena_free(&arena);
}
END_TEST

Suite *http_v2_video_suite(void)
{
    Suite *suite = suite_create("http_v2_video");
    TCase *tcase = tcase_create("video");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, frames_are_answered_in_order);
    tcase_add_test(tcase, a_frame_that_fails_fails_alone);
    tcase_add_test(tcase, parts_are_frames);
    tcase_add_test(tcase, what_is_no_video_is_refused);
    tcase_add_test(tcase, jpegs_in_a_row_are_a_video_where_that_is_clear);
    tcase_add_test(tcase, readers_see_frames_before_the_video_ends);
    tcase_add_test(tcase, a_reader_who_hears_nothing_for_long_is_let_go);
    tcase_add_test(tcase, readers_need_the_key_of_the_sender);
    tcase_add_test(tcase, a_sender_that_never_stops_is_left_unread);
    tcase_add_test(tcase, a_long_video_is_read_as_fast_as_it_is_computed);
    tcase_add_test(tcase, what_is_too_long_for_a_reply_needs_a_reader);
    tcase_add_loop_test(tcase, a_sender_may_leave_after_every_byte, 0, 2);
    tcase_add_test(tcase, a_reader_may_leave_at_any_time);
    tcase_add_loop_test(tcase, a_stop_ends_videos, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}
