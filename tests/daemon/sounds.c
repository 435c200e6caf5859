/*
 * sounds.c - a sound that is posted to the program: windows, a sound that comes back, what it says of such models.
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"

Suite *daemon_sounds_suite(void);

/* y = -x of rows of four samples, as a sound in and out. */
static void write_echo(const struct rig *rig)
{
    static const char manifest[] =
        "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"audio\",\"rate\":8000,\"window\":4,\"hop\":2,\"pad\":true}},"
        "\"task\":{\"kind\":\"audio\"}}";
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 4}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 4}));
    proto_add(&graph, GRAPH_NODE, proto_node("Neg", "", "x", "y"));
    struct proto model = proto_model(graph, 13);
    free(rig_shell(NULL, "mkdir -p %s/models/echo", rig->folder));
    rig_write(rig, "models/echo/model.onnx", model.at, model.n);
    rig_write(rig, "models/echo/manifest.json", manifest, sizeof manifest - 1);
    proto_free(&model);
}

#define ECHO "/v2/models/echo/infer"
#define L16 "Content-Type: audio/L16;rate=8000\r\n"
#define SIX "\x40\x00\x20\x00\x10\x00\x08\x00\x04\x00\x02\x00" /* samples of 0.5, 0.25, ... */

START_TEST(a_sound_goes_in_and_comes_out)
{
    static struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_echo(&rig);
    rig_start(&rig, "%s/models --max-audio-seconds 1", rig.folder);
    struct reply reply = rig_ask(&rig, "POST", ECHO, L16, SIX, 12);
    ck_assert_msg(reply.status == 200, "%d %s", reply.status, reply.body);
    ck_assert_ptr_nonnull(strstr(reply.body, "\"shape\":[2,4],\"data\":[-0.5,-0.25,-0.125,-0.0625,-0.125,-0.0625"));
    ck_assert_ptr_nonnull(
        strstr(reply.body, "\"windows\":[{\"start\":0.0,\"end\":0.0005},{\"start\":0.00025,\"end\":0.00075}]"));
    reply_free(&reply);
    reply = rig_ask(&rig, "POST", ECHO, L16 "Accept: audio/wav\r\n", SIX, 12);
    ck_assert_int_eq(reply.status, 200);
    ck_assert_ptr_nonnull(strstr(reply.head, "Content-Type: audio/wav"));
    ck_assert_uint_eq(reply.n_bytes, 44 + 12);
    ck_assert_mem_eq(reply.body + 44, "\x00\xc0\x00\xe0\x00\xf0\x00\xf8\x00\xfc\x00\xfe", 12);
    const size_t n = 2 * 8001;
    char *long_one = rig_keep(calloc(n, 1));
    reply_free(&reply);
    reply = rig_ask(&rig, "POST", ECHO, L16, long_one, n);
    ck_assert_int_eq(reply.status, 413);
    reply_free(&reply);
    reply = rig_ask(&rig, "POST", ECHO, "Content-Type: audio/webm\r\n", "x", 1);
    ck_assert_int_eq(reply.status, 415);
    ck_assert_ptr_nonnull(strstr(reply.body, "audio/wav, audio/flac, audio/ogg, audio/mpeg"));
    reply_free(&reply);
    reply = rig_ask(&rig, "POST", ECHO, "", "xyz", 3);
    ck_assert_int_eq(reply.status, 400);
    ck_assert_ptr_nonnull(strstr(reply.body, "a sound is sent with the header Content-Type: audio/wav"));
    reply_free(&reply);
    reply = rig_get(&rig, "/openapi.json");
    ck_assert_ptr_nonnull(strstr(reply.body, "\"audio/flac\":{}"));
    reply_free(&reply);
    reply = rig_get(&rig, "/v2/models/echo");
    ck_assert_ptr_nonnull(strstr(reply.body, "\"input_kind\":\"audio\""));
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

Suite *daemon_sounds_suite(void)
{
    Suite *suite = suite_create("daemon/sounds");
    TCase *tests = tcase_create("sounds");
    tcase_add_test(tests, a_sound_goes_in_and_comes_out);
    suite_add_tcase(suite, tests);
    return suite;
}
