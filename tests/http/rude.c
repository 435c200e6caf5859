/*
 * rude.c - clients as they should not be: slow, cut, oversized, malformed, smuggling. Each test
 * asserts the status or the close, and afterwards that the server still answers and ends with exit
 * status 0.
 */
#include "daemon.h"

#include <check.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static struct daemon host;
static struct client client;

static void start(void)
{
    daemon_start(&host, NULL, NULL);
}

/* The server is as good as before. */
static void end(void)
{
    client_close(&client);
    ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    struct reply reply = daemon_ask(&host, "POST", RELU_PATH, "", RELU_BODY);
    ck_assert_int_eq(reply.status, 200);
    ck_assert_int_eq(daemon_end(&host), 0);
}

#define POST "POST " RELU_PATH " HTTP/1.1\r\n"
#define HOST "Host: x\r\n"
#define SMUGGLED "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"

struct rude {
    const char *what;
    const char *bytes;
    size_t n_bytes;
    int status;
};

#define R(what, bytes, status)                                                                                         \
    {                                                                                                                  \
        what, bytes, sizeof(bytes) - 1, status                                                                         \
    }
#define LIVE "GET /v2/health/live HTTP/1.1"
#define T5(text) text text text text text
#define T40(text) T5(text text text text text text text text)
#define T500(text) T5(T5(T5(text text text text)))

/* All of these are refused and the connection ends, so that what follows is never read as a
 * request. */
static const struct rude malformed[] = {
    R("both lengths", POST HOST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 400),
    R("both lengths, other order",
      POST HOST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" SMUGGLED, 400),
    R("two lengths", POST HOST "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd" SMUGGLED, 400),
    R("two differing lengths", POST HOST "Content-Length: 0\r\nContent-Length: 4\r\n\r\nabcd", 400),
    R("a space before the colon", POST HOST "Content-Length : 44\r\n\r\n" SMUGGLED, 400),
    R("a tab before the colon", POST HOST "Content-Length\t: 44\r\n\r\n" SMUGGLED, 400),
    R("an unknown encoding", POST HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    R("gzip and chunked", POST HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    R("two encodings", POST HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    R("identity after chunked", POST HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
      400),
    R("chunked in HTTP/1.0", "POST " RELU_PATH " HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    R("no host", "GET /v2/health/live HTTP/1.1\r\n\r\n", 400),
    R("two hosts", "GET /v2/health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    R("a name with brackets", "GET /v2/health/live HTTP/1.1\r\nHost: x\r\nA[1]: b\r\n\r\n", 400),
    R("a control character", "GET /v2/health/live HTTP/1.1\r\nHost: x\r\nA: b\001c\r\n\r\n", 400),
    R("%00 in the path", "GET /v2/models/relu%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("%2f in the path", "GET /v2/models/..%2frelu HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("%2F in the path", "GET /v2/models/a%2Frelu HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("a broken escape", "GET /v2/models/a%2 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("an escaped newline", "GET /v2/models/a%0ab HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("no path", "GET v2 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("connect", "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("HTTP/1.7", "GET /v2/health/live HTTP/1.7\r\nHost: x\r\n\r\n", 400),
    R("an absurd length", POST HOST "Content-Length: 99999999999999\r\n\r\n", 413),
    /* What microhttpd takes, or answers in two ways. */
    R("a length that is no number", POST HOST "Content-Length: abc\r\n\r\n" SMUGGLED, 400),
    R("a negative length", POST HOST "Content-Length: -1\r\n\r\n", 400),
    R("an empty length", POST HOST "Content-Length: \r\n\r\n", 400),
    R("a length past 64 bits", POST HOST "Content-Length: 99999999999999999999999\r\n\r\n", 400),
    R("a length with something behind it", POST HOST "Content-Length: 4 4\r\n\r\nabcd", 400),
    R("bare line feeds", LIVE "\nHost: x\n\n" SMUGGLED, 400),
    R("a bare line feed behind the first line", LIVE "\nHost: x\r\n\r\n", 400),
    R("a bare line feed between headers", LIVE "\r\nA: b\nHost: x\r\n\r\n", 400),
    R("a bare line feed at the end", LIVE "\r\nHost: x\r\n\n" SMUGGLED, 400),
    R("a bare line feed before it", "\n" LIVE "\r\nHost: x\r\n\r\n", 400),
    R("a bare carriage return", LIVE "\r\nHost: x\rA: b\r\n\r\n", 400),
    R("two carriage returns", LIVE "\r\r\nHost: x\r\n\r\n", 400),
    R("NUL in a value", LIVE "\r\nHost: x\0y\r\n\r\n", 400),
    R("NUL at a value's end", LIVE "\r\nHost: x\0\r\n\r\n", 400),
    R("NUL for a carriage return", LIVE "\r\nHost: x\0\n\r\n", 400),
    R("NUL for the last carriage return", LIVE "\r\nHost: x\r\n\0\n" SMUGGLED, 400),
    R("NUL in a name", LIVE "\r\nHost: x\r\nA\0B: c\r\n\r\n", 400),
    R("NUL in the target", "GET /v2/health/live\0/x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("NUL before it", "\0" LIVE "\r\nHost: x\r\n\r\n", 400),
    R("a folded header", LIVE "\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
    R("a header folded by a tab", LIVE "\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", 400),
    R("a folded encoding", POST HOST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    R("a first header that is folded", LIVE "\r\n Host: x\r\nHost: x\r\n\r\n", 400),
    R("a header without a colon", LIVE "\r\nHost: x\r\nnothing\r\n\r\n", 400),
    R("two spaces in the first line", "GET  /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("a space in the target", "GET /v2/health/live x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("no version", "GET /v2/health/live\r\nHost: x\r\n\r\n", 400),
    R("a chunk size that is no number", POST HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    R("a negative chunk size", POST HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    R("a chunk size behind 0x", POST HOST "Transfer-Encoding: chunked\r\n\r\n0x1\r\na", 400),
    R("a bare line feed behind a chunk size", POST HOST "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", 400),
    R("a bare line feed behind a chunk", POST HOST "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n", 400),
    R("a bare line feed in a chunk's extension", POST HOST "Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
      400),
    R("a chunk that is longer than its size", POST HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400),
    R("a chunk size past 64 bits", POST HOST "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\na", 400),
    R("a blank behind a length", POST HOST "Content-Length: 4 \r\n\r\nabcd" SMUGGLED, 400),
    R("tabs behind a length", POST HOST "Content-Length: 4\t\t\r\n\r\nabcd" SMUGGLED, 400),
    R("a blank behind chunked", POST HOST "Transfer-Encoding: chunked \r\n\r\n0\r\n\r\n" SMUGGLED, 400),
    R("a tab behind chunked", POST HOST "Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n" SMUGGLED, 400),
    R("many cookies", LIVE "\r\nHost: x\r\nCookie: " T500("a=b; ") "\r\n\r\n", 400),
    R("a large cookie", LIVE "\r\nHost: x\r\nCookie: a=" T500(T40("b")) "\r\n\r\n", 400),
    R("many parts of a query", "GET /v2?" T500("a&") " HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    R("a bare line feed in the trailer", POST HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n" SMUGGLED, 400),
};

static bool send_rude(const struct rude *rude, size_t piece)
{
    for (size_t at = 0, n; at < rude->n_bytes; at += n) {
        n = rude->n_bytes - at < piece ? rude->n_bytes - at : piece;
        if (!client_send_bytes(&client, rude->bytes + at, n))
            return false; /* it was answered before the end */
    }
    return true;
}

/* One answer, one end. */
static void expect_refusal(const struct rude *rude)
{
    struct reply reply = client_reply(&client);
    ck_assert_msg(reply.status == rude->status, "%s: %d", rude->what, reply.status);
    ck_assert_msg(strncmp(reply.body, "{\"error\":\"", 10) == 0, "%s: %s", rude->what, reply.body);
    ck_assert_msg(client_closed(&client), "%s: the connection was kept", rude->what);
}

START_TEST(malformed_requests_are_refused_and_closed)
{
    const struct rude *rude = &malformed[_i];
    start();
    client_open(&client, &host);
    ck_assert(send_rude(rude, SIZE_MAX));
    expect_refusal(rude);
    client_close(&client);
    client_open(&client, &host); /* as the second of two, together */
    client_send(&client, SMUGGLED);
    ck_assert(send_rude(rude, SIZE_MAX));
    ck_assert_int_eq(client_reply(&client).status, 200);
    expect_refusal(rude);
    client_close(&client);
    client_open(&client, &host); /* and by who closes his side behind it */
    ck_assert(send_rude(rude, SIZE_MAX));
    ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
    expect_refusal(rude);
    end();
}
END_TEST

/* No piece of a head shows the fault alone. */
START_TEST(malformed_requests_are_refused_byte_by_byte)
{
    const struct rude *rude = &malformed[_i];
    int on = 1;
    start();
    client_open(&client, &host);
    setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    send_rude(rude, rude->n_bytes < 4000 ? 1 : 97); /* a busy machine has a header's time for the large ones */
    expect_refusal(rude);
    end();
}
END_TEST

START_TEST(what_came_before_malformed_bytes_is_answered)
{
    struct settings settings = daemon_settings();
    settings.max_queue_delay_us = DAEMON_SLOW_US;
    daemon_start(&host, &settings, NULL);
    client_open(&client, &host);
    char many[2000];
    snprintf(many, sizeof many, SMUGGLED POST HOST "Content-Length: %zu\r\n\r\n" RELU_BODY SMUGGLED LIVE "\n\n",
             strlen(RELU_BODY));
    client_send(&client, many);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(client_reply(&client).status, 200);
    struct reply reply = client_reply(&client);
    ck_assert_int_eq(reply.status, 400);
    ck_assert(reply_has(&reply, "malformed request: a line ends without a carriage return"));
    ck_assert(reply_has_header(&reply, "Connection: close"));
    ck_assert(client_closed(&client));
    end();
}
END_TEST

static void repeat(struct client *to, const char *piece, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!client_send_bytes(to, piece, strlen(piece)))
            return;
}

static int status_then_close(void)
{
    struct reply reply = client_reply_to_head(&client);
    for (client.n_bytes = 0; !client_closed(&client); client.n_bytes = 0) {
    }
    return reply.status;
}

START_TEST(floods_of_headers_are_refused)
{
    start();
    client_open(&client, &host);
    client_send(&client, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n");
    repeat(&client, "X-Some-Header: and some value that it has\r\n", 5000);
    ck_assert_int_eq(status_then_close(), 431);
    end();
}
END_TEST

START_TEST(long_uris_are_refused)
{
    start();
    client_open(&client, &host);
    client_send(&client, "GET /");
    repeat(&client, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 2000);
    client_send_bytes(&client, " HTTP/1.1\r\nHost: x\r\n\r\n", 22);
    int status = status_then_close();
    ck_assert(status == 414 || status == 431);
    end();
}
END_TEST

START_TEST(an_idle_connect_ends_at_the_header_deadline)
{
    start();
    client_open(&client, &host);
    ck_assert(client_closed(&client));
    end();
}
END_TEST

/* Sends a byte whenever `ms` have passed without an answer; true when the server hung up. */
static bool drip(const char *bytes, int ms)
{
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (size_t i = 0;; i = bytes[i + 1] ? i + 1 : i) {
        struct pollfd waiting = {.fd = client.fd, .events = POLLIN};
        if (poll(&waiting, 1, ms) == 1 || !client_send_bytes(&client, bytes + i, 1))
            return true;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begun.tv_sec > 20)
            return false;
    }
}

START_TEST(a_slow_header_ends_at_its_deadline)
{
    start();
    client_open(&client, &host);
    client_send(&client, "GET /v2/health/live HTTP/1.1\r\nX: ");
    ck_assert(drip("aaaaaaaa", 50));
    ck_assert(client_closed(&client));
    end();
}
END_TEST

START_TEST(a_slow_first_line_ends_at_its_deadline)
{
    start();
    client_open(&client, &host);
    ck_assert(drip("GET /v2/health/liveeeeeeeeeeeeeeee", 50));
    ck_assert(client_closed(&client));
    end();
}
END_TEST

START_TEST(a_slow_body_ends_at_its_deadline)
{
    start();
    client_open(&client, &host);
    client_send(&client, POST HOST "Content-Length: 60000\r\n\r\n");
    ck_assert(drip("aaaaaaaa", 50));
    ck_assert(client_closed(&client));
    end();
}
END_TEST

START_TEST(a_reader_that_does_not_read_ends_at_its_deadline)
{
    start();
    client_open(&client, &host);
    int small = 1;
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    /* Replies pile up in both sockets' buffers until the server cannot write any more. */
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    bool ended = false;
    do {
        struct pollfd waiting = {.fd = client.fd, .events = POLLOUT};
        if (poll(&waiting, 1, 100) == 1)
            ended = send(client.fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 35, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
                    (waiting.revents & (POLLERR | POLLHUP));
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (!ended && now.tv_sec - begun.tv_sec < 20);
    ck_assert(ended);
    end();
}
END_TEST

START_TEST(a_body_over_the_limit_is_read_and_answered_413)
{
    start();
    static char body[100000];
    client_open(&client, &host);
    client_send(&client, POST HOST "Content-Length: 100000\r\n\r\n");
    ck_assert(client_send_bytes(&client, body, sizeof body));
    struct reply reply = client_reply(&client);
    ck_assert_int_eq(reply.status, 413);
    ck_assert(reply_has(&reply, "request JSON size of 100000 bytes exceeds the maximum allowed input "
                                "size of 65536 bytes. Use --max-body"));
    client_send(&client, SMUGGLED); /* and the connection is still good */
    ck_assert_int_eq(client_reply(&client).status, 200);
    end();
}
END_TEST

START_TEST(a_body_over_the_limit_is_called_what_it_is)
{
    static const struct {
        const char *header, *name;
    } rows[] = {
        {"", "request JSON"},
        {"Content-Type: application/x-www-form-urlencoded\r\n", "request JSON"},
        {"Content-Type: application/octet-stream\r\n", "raw request"},
        {"Inference-Header-Content-Length: 0\r\n", "raw request"},
        {"Content-Type: Image/PNG\r\n", "picture"},
        {"Content-Type: text/plain; charset=utf-8\r\n", "text"},
    };
    static char body[100000];
    start();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char head[300], says[200];
        snprintf(head, sizeof head, POST HOST "%sContent-Length: 100000\r\n\r\n", rows[i].header);
        snprintf(says, sizeof says, "{\"error\":\"%s size of 100000 bytes exceeds the maximum allowed input",
                 rows[i].name);
        if (i)
            client_close(&client);
        client_open(&client, &host);
        client_send(&client, head);
        ck_assert(client_send_bytes(&client, body, sizeof body));
        struct reply reply = client_reply(&client);
        ck_assert_int_eq(reply.status, 413);
        ck_assert_msg(strncmp(reply.body, says, strlen(says)) == 0, "%s", reply.body);
    }
    end();
}
END_TEST

START_TEST(a_chunked_body_over_the_limit_is_read_and_answered_413)
{
    start();
    static char chunk[10000];
    client_open(&client, &host);
    client_send(&client, POST HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        client_send(&client, "2710\r\n");
        ck_assert(client_send_bytes(&client, chunk, sizeof chunk));
        client_send(&client, "\r\n");
    }
    client_send(&client, "0\r\n\r\n");
    ck_assert_int_eq(client_reply(&client).status, 413);
    end();
}
END_TEST

START_TEST(an_endless_chunked_body_is_cut)
{
    start();
    static char chunk[10000];
    client_open(&client, &host);
    client_send(&client, POST HOST "Transfer-Encoding: chunked\r\n\r\n");
    bool sent = true;
    for (int i = 0; i < 10000 && sent; i++)
        sent = client_send_bytes(&client, "2710\r\n", 6) && client_send_bytes(&client, chunk, sizeof chunk) &&
               client_send_bytes(&client, "\r\n", 2);
    ck_assert(!sent); /* hung up upon long before 100 MB */
    end();
}
END_TEST

START_TEST(half_a_million_chunks_of_one_byte_are_taken)
{
    struct settings settings = daemon_settings();
    settings.max_body_bytes = 1 << 20;
    settings.body_timeout_ms = 20000;
    daemon_start(&host, &settings, NULL);
    static char chunks[600000];
    client_open(&client, &host);
    client_send(&client, POST HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < sizeof chunks; i += 6)
        memcpy(chunks + i, "1\r\n \r\n", 6);
    for (int i = 0; i < 5; i++)
        ck_assert(client_send_bytes(&client, chunks, sizeof chunks));
    client_send(&client, "0\r\n\r\n");
    ck_assert_int_eq(client_reply(&client).status, 400); /* blanks are no JSON */
    end();
}
END_TEST

START_TEST(a_request_in_chunks_is_inferred)
{
    start();
    char chunked[500];
    client_open(&client, &host);
    snprintf(chunked, sizeof chunked,
             POST HOST "Transfer-Encoding: chunked\r\n\r\n10\r\n%.16s\r\n%zx\r\n%s\r\n"
                       "0\r\n\r\n",
             RELU_BODY, strlen(RELU_BODY) - 16, &RELU_BODY[16]);
    client_send(&client, chunked);
    ck_assert_int_eq(client_reply(&client).status, 200);
    end();
}
END_TEST

static long cpu_ms(void)
{
    struct reply reply = daemon_get(&host, "/metrics");
    const char *at = strstr(reply.body, "\nprocess_cpu_seconds_total ");
    ck_assert_ptr_nonnull(at);
    return (long)(strtod(at + 27, NULL) * 1000);
}

START_TEST(a_chunk_extension_longer_than_the_buffer_does_not_spin)
{
    struct settings settings = daemon_settings();
    settings.body_timeout_ms = 2000;
    daemon_start(&host, &settings, NULL);
    long before = cpu_ms();
    client_open(&client, &host);
    client_send(&client, POST HOST "Transfer-Encoding: chunked\r\n\r\n1;");
    repeat(&client, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 2000);
    for (client.n_bytes = 0; !client_closed(&client); client.n_bytes = 0) {
    }
    ck_assert_int_lt(cpu_ms() - before, 1000); /* a busy loop would have used all of the 2000 ms */
    end();
}
END_TEST

START_TEST(expect_100_continue_is_answered_before_the_body)
{
    start();
    char head[300];
    client_open(&client, &host);
    snprintf(head, sizeof head, POST HOST "Expect: 100-continue\r\nContent-Length: %zu\r\n\r\n", strlen(RELU_BODY));
    client_send(&client, head);
    struct pollfd waiting = {.fd = client.fd, .events = POLLIN};
    ck_assert_int_eq(poll(&waiting, 1, 20000), 1);
    client_send(&client, RELU_BODY);
    ck_assert_int_eq(client_reply(&client).status, 200);
    end();
}
END_TEST

START_TEST(who_expects_100_for_a_refused_body_is_told_at_once)
{
    start();
    client_open(&client, &host);
    client_send(&client, POST HOST "Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n");
    ck_assert_int_eq(client_reply(&client).status, 413);
    ck_assert(client_closed(&client));
    end();
}
END_TEST

static const struct {
    const char *path, *more;
    int status;
} unwanted[] = {
    {"/v2/models/none/infer", "", 404},
    {"/v2/models/relu/versions/7/infer", "", 404},
    {"/v2/models/relu/versions/0/infer", "", 404},
    {"/v2/models/broken/infer", "", 503},
    {"/v2/models/broken/versions/1/infer", "", 503},
    {RELU_PATH, "Content-Type: image/png\r\n", 415},
    {RELU_PATH, "Content-Type: text/plain\r\n", 415},
    {RELU_PATH, "Content-Type: audio/wav\r\n", 415},
    {RELU_PATH, "Content-Encoding: br\r\n", 415},
    {RELU_PATH, "X-Request-Timeout-Ms: soon\r\n", 400},
    {RELU_PATH, "Inference-Header-Content-Length: 1001\r\n", 400},
    {RELU_PATH, "Inference-Header-Content-Length: all\r\n", 400},
    {"/v2/repository/models/relu/load", "", 403},
};

/* The first thing that comes is the refusal; the body is never asked for. */
START_TEST(who_expects_100_is_told_what_the_head_decides)
{
    char head[400], line[40];
    start();
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++) {
        snprintf(head, sizeof head,
                 "POST %s HTTP/1.1\r\n" HOST "%sExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n", unwanted[i].path,
                 unwanted[i].more);
        snprintf(line, sizeof line, "HTTP/1.1 %d ", unwanted[i].status);
        if (i)
            client_close(&client);
        client_open(&client, &host);
        client_send(&client, head);
        client.bytes[0] = '\0';
        ck_assert(!client_closed(&client));
        ck_assert_msg(strncmp(client.bytes, line, strlen(line)) == 0, "%s %s: %s", unwanted[i].path, unwanted[i].more,
                      client.bytes);
        ck_assert_int_eq(client_reply(&client).status, unwanted[i].status);
        ck_assert(client_closed(&client));
    }
    end();
}
END_TEST

static const char *const methods[] = {"CONNECT", "TRACE", "DELETE", "PUT", "PATCH", "BREW", "POST"};

START_TEST(other_methods_are_405_with_a_list)
{
    start();
    struct reply reply = daemon_ask(&host, methods[_i], "/v2/health/live", "", "");
    ck_assert_int_eq(reply.status, 405);
    ck_assert_str_eq(reply.body, "{\"error\":\"Method Not Allowed: this path takes GET, HEAD\"}\n");
    ck_assert(reply_has_header(&reply, "Allow: GET, HEAD"));
    client_open(&client, &host);
    end();
}
END_TEST

START_TEST(bodies_of_unknown_codings_are_415)
{
    start();
    client_open(&client, &host);
    client_send_infer(&client, "Content-Encoding: br\r\n");
    struct reply reply = client_reply(&client);
    ck_assert_int_eq(reply.status, 415);
    ck_assert(reply_has_header(&reply, "Accept-Encoding: gzip, deflate"));
    ck_assert(reply_has(&reply, "Unsupported compression type"));
    client_send_infer(&client, "Content-Encoding: identity\r\n");
    ck_assert_int_eq(client_reply(&client).status, 200);
    end();
}
END_TEST

START_TEST(a_cut_body_leaves_nothing)
{
    start();
    client_open(&client, &host);
    client_send(&client, POST HOST "Content-Length: 1000\r\n\r\nabc");
    end();
}
END_TEST

START_TEST(sixty_slow_connections_end_and_good_ones_are_served)
{
    start();
    static struct client slow[60];
    for (int i = 0; i < 60; i++) {
        client_open(&slow[i], &host);
        client_send(&slow[i], "GET /v2/health/live HTTP/1.1\r\nX: ");
    }
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    for (int i = 0; i < 60; i++) {
        ck_assert(client_closed(&slow[i]));
        client_close(&slow[i]);
    }
    client_open(&client, &host);
    end();
}
END_TEST

#define N(table) (int)(sizeof table / sizeof table[0])

Suite *http_rude_suite(void)
{
    Suite *suite = suite_create("http/rude");
    TCase *forms = tcase_create("malformed");
    TCase *slow = tcase_create("slow");
    TCase *large = tcase_create("large");
    TCase *odd = tcase_create("odd");
    tcase_set_timeout(forms, 120);
    tcase_set_timeout(slow, 120);
    tcase_set_timeout(large, 120);
    tcase_set_timeout(odd, 120);
    tcase_add_loop_test(forms, malformed_requests_are_refused_and_closed, 0, N(malformed));
    tcase_add_loop_test(forms, malformed_requests_are_refused_byte_by_byte, 0, N(malformed));
    tcase_add_test(forms, what_came_before_malformed_bytes_is_answered);
    tcase_add_test(forms, floods_of_headers_are_refused);
    tcase_add_test(forms, long_uris_are_refused);
    tcase_add_test(slow, an_idle_connect_ends_at_the_header_deadline);
    tcase_add_test(slow, a_slow_header_ends_at_its_deadline);
    tcase_add_test(slow, a_slow_first_line_ends_at_its_deadline);
    tcase_add_test(slow, a_slow_body_ends_at_its_deadline);
    tcase_add_test(slow, a_reader_that_does_not_read_ends_at_its_deadline);
    tcase_add_test(slow, sixty_slow_connections_end_and_good_ones_are_served);
    tcase_add_test(large, a_body_over_the_limit_is_read_and_answered_413);
    tcase_add_test(large, a_body_over_the_limit_is_called_what_it_is);
    tcase_add_test(large, a_chunked_body_over_the_limit_is_read_and_answered_413);
    tcase_add_test(large, an_endless_chunked_body_is_cut);
    tcase_add_test(large, half_a_million_chunks_of_one_byte_are_taken);
    tcase_add_test(large, a_request_in_chunks_is_inferred);
    tcase_add_test(large, a_chunk_extension_longer_than_the_buffer_does_not_spin);
    tcase_add_test(odd, expect_100_continue_is_answered_before_the_body);
    tcase_add_test(odd, who_expects_100_for_a_refused_body_is_told_at_once);
    tcase_add_test(odd, who_expects_100_is_told_what_the_head_decides);
    tcase_add_loop_test(odd, other_methods_are_405_with_a_list, 0, N(methods));
    tcase_add_test(odd, bodies_of_unknown_codings_are_415);
    tcase_add_test(odd, a_cut_body_leaves_nothing);
    suite_add_tcase(suite, forms);
    suite_add_tcase(suite, slow);
    suite_add_tcase(suite, large);
    suite_add_tcase(suite, odd);
    return suite;
}
