/* v2_stream.c - WebSockets that are refused before they begin: tests/daemon/sockets.c has those that are not. */
#include "daemon.h"

#include <check.h>
#include <string.h>

Suite *http_v2_stream_suite(void);

#define GOOD                                                                                                           \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                     \
    "Sec-WebSocket-Version: 13\r\n"
#define OLD                                                                                                            \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                     \
    "Sec-WebSocket-Version: 8\r\n"
#define AT "/v2/models/relu/stream"

static const struct {
    const char *method, *path, *more;
    int status;
    const char *part;
} cases[] = {
    {"GET", AT, "", 400, "this path is a WebSocket"},
    {"GET", AT, OLD, 400, "must be 13"},
    {"GET", AT, GOOD, 415, "what are the samples?"},
    {"GET", AT "?type=%00", GOOD, 400, "broken escape"},
    {"GET", AT "?type=audio/L16;rate=8000", GOOD, 415, "does not take 'audio/L16'"},
    {"GET", AT "?type=text", GOOD, 415, "a stream takes samples without a head"},
    {"GET", AT "?type=audio/L16&sequence_id=0&sequence_end=true", GOOD, 400, "by the message"},
    {"GET", AT "?type=audio/L16&sequence_start=1", GOOD, 400, "true or false"},
    {"GET", "/v2/models/none/stream?type=audio/L16", GOOD, 404, "'none'"},
    {"GET", "/v2/models/broken/stream?type=audio/L16", GOOD, 503, "broken"},
    {"GET", AT "?type=audio/L16", GOOD "Origin: https://elsewhere.example\r\n", 403, "--cors-origin"},
    {"POST", AT, GOOD, 405, "GET, HEAD"},
};

START_TEST(what_cannot_be_streamed_is_refused_in_a_sentence)
{
    static struct daemon daemon;
    daemon_start(&daemon, NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply reply = daemon_ask(&daemon, cases[i].method, cases[i].path, cases[i].more, "");
        ck_assert_msg(reply.status == cases[i].status && reply_has(&reply, cases[i].part), "%s %s: %d %s",
                      cases[i].method, cases[i].path, reply.status, reply.body);
    }
    ck_assert_int_eq(daemon_end(&daemon), 0);
}
END_TEST

Suite *http_v2_stream_suite(void)
{
    Suite *suite = suite_create("http_v2_stream");
    TCase *tcase = tcase_create("stream");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, what_cannot_be_streamed_is_refused_in_a_sentence);
    suite_add_tcase(suite, tcase);
    return suite;
}
