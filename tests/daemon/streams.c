/*
 * streams.c - sounds that are heard window by window, over HTTP: whole, and in pieces that are cut anywhere; what is
 * kept between them, what is refused, what a reload and a hand-over do.
 *
 * The network of "sum" adds a window's samples to its state and answers with it: what is answered tells which samples
 * were heard, and how often. "loud" keeps nothing and answers a window's mean. Samples are whole numbers.
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"

Suite *daemon_streams_suite(void);

#define WINDOW 4
#define N 23 /* samples of the recording */

static void write_model(const struct rig *rig, const char *name, struct proto graph, const char *manifest)
{
    char path[96];
    struct proto model = proto_model(graph, 13);
    free(rig_shell(NULL, "mkdir -p %s/models/%s", rig->folder, name));
    rig_write(rig, "new", model.at, model.n);
    free(rig_shell(NULL, "mv %s/new %s/models/%s/model.onnx", rig->folder, rig->folder, name));
    snprintf(path, sizeof path, "models/%s/manifest.json", name);
    rig_write(rig, path, manifest, strlen(manifest));
    proto_free(&model);
}

#define SOUND                                                                                                          \
    "\"inputs\":{\"x\":{\"kind\":\"audio\",\"rate\":8000,\"range\":32768,\"window\":4,\"hop\":3,\"context\":1,"        \
    "\"pad\":true}}"

/* y = hn = h + sum of x, [1,5] with one sample of context */
static void write_sum(const struct rig *rig, const char *name, const char *manifest)
{
    struct proto graph = {0};
    const int64_t axes[] = {1};
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("axes", PERCEPT_INT64, 1, (int64_t[]){1}, axes, sizeof axes));
    proto_add(&graph, GRAPH_NODE, proto_node("ReduceSum", "", "x,axes", "sum"));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "h,sum", "hn"));
    proto_add(&graph, GRAPH_NODE, proto_node("Identity", "", "hn", "y"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, WINDOW + 1}, "batch,"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("h", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}, "batch,"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}, "batch,"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("hn", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}, "batch,"));
    write_model(rig, name, graph, manifest);
}

/* y = the mean of x */
static void write_loud(const struct rig *rig, const char *manifest)
{
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("GlobalAveragePool", "", "x", "y"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_FLOAT, 3, (int64_t[]){-1, 1, WINDOW}, "batch,,"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 3, (int64_t[]){-1, 1, 1}, "batch,,"));
    write_model(rig, "loud", graph, manifest);
}

#define SEQUENCE "\"sequence\":{\"state\":[{\"input\":\"h\",\"output\":\"hn\"}]}"

static bool begin(struct rig *rig)
{
    if (!rig_is_there())
        return false;
    rig_begin(rig);
    write_sum(rig, "sum", "{\"manifest\":1," SOUND "," SEQUENCE "}");
    write_loud(rig, "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"audio\",\"rate\":8000,\"range\":8,\"window\":4,"
                    "\"layout\":\"NCT\"}},\"task\":{\"kind\":\"vad\",\"min_speech_duration_ms\":0,"
                    "\"min_silence_duration_ms\":0,\"speech_pad_ms\":0}}");
    rig_start(rig, "%s/models --admin", rig->folder);
    return true;
}

static void end(struct rig *rig)
{
    ck_assert_int_eq(rig_stop(rig), 0);
    rig_end(rig);
}

#define RAW "Content-Type: audio/x-raw;format=S16LE;rate=8000\r\n"

static struct reply post(const struct rig *rig, const char *model, const char *query, const char *type, const void *at,
                         size_t n)
{
    char path[200];
    snprintf(path, sizeof path, "/v2/models/%s/infer%s", model, query);
    return rig_ask(rig, "POST", path, type, at, n);
}

static void expect(const struct rig *rig, const char *model, const char *query, const char *type, const void *at,
                   size_t n, int status, const char *part)
{
    struct reply reply = post(rig, model, query, type, at, n);
    ck_assert_msg(reply.status == status && strstr(reply.body, part), "%s%s %zu bytes: %d %s, not %d %s", model, query,
                  n, reply.status, reply.body, status, part);
    reply_free(&reply);
}

/* The samples 1, 2, 3 ... as bytes. */
static void record(uint8_t bytes[2 * N])
{
    for (int i = 0; i < N; i++) {
        bytes[2 * i] = (uint8_t)(i + 1);
        bytes[2 * i + 1] = 0;
    }
}

/* By hand: windows of four samples every three, one before each, zeros around. */
static int sums(float *to)
{
    float sum = 0;
    int n = 0;
    for (int at = 0; n == 0 || at + WINDOW - 3 < N; at += 3) {
        for (int i = at - 1; i < at + WINDOW; i++)
            sum += i >= 0 && i < N ? (float)(i + 1) : 0;
        to[n++] = sum;
    }
    return n;
}

/* The recording in pieces of so many bytes; what is answered behind each other. */
static int post_pieces(const struct rig *rig, int n_piece, float *to)
{
    uint8_t bytes[2 * N];
    int n = 0;
    record(bytes);
    for (int at = 0; at < 2 * N; at += n_piece) {
        char query[100];
        const int some = n_piece < 2 * N - at ? n_piece : 2 * N - at;
        snprintf(query, sizeof query, "?sequence_id=p&sequence_start=%s&sequence_end=%s", at ? "false" : "true",
                 at + some == 2 * N ? "true" : "false");
        struct reply reply = post(rig, "sum", query, RAW, bytes + at, (size_t)some);
        ck_assert_msg(reply.status == 200, "%d of %d: %d %s", at, n_piece, reply.status, reply.body);
        const int more = reply_floats(&reply, to + n, N - n);
        ck_assert_int_ge(more, 0);
        n += more;
        reply_free(&reply);
    }
    return n;
}

START_TEST(pieces_cut_anywhere_are_heard_as_the_whole)
{
    struct rig rig;
    float want[N], got[N];
    uint8_t bytes[2 * N];
    if (!begin(&rig))
        return;
    const int n = sums(want);
    record(bytes);
    struct reply whole = post(&rig, "sum", "", RAW, bytes, sizeof bytes);
    ck_assert_msg(whole.status == 200, "%s", whole.body);
    ck_assert_int_eq(reply_floats(&whole, got, N), n);
    ck_assert_mem_eq(got, want, (size_t)n * sizeof *got);
    ck_assert_ptr_nonnull(strstr(whole.body, "\"windows\":[{\"start\":0.0,\"end\":0.0005},{\"start\":0.000375"));
    ck_assert_ptr_null(strstr(whole.body, "\"hn\"")); /* the state is nobody's business */
    reply_free(&whole);
    for (int n_piece = 1; n_piece <= 2 * N; n_piece++) {
        ck_assert_int_eq(post_pieces(&rig, n_piece, got), n);
        ck_assert_mem_eq(got, want, (size_t)n * sizeof *got);
    }
    ck_assert(rig_metric(&rig, "perceptd_sequences{") == 0);
    end(&rig);
}
END_TEST

#define PIECE "\x01\x00\x02\x00\x03\x00\x04\x00\x05" /* four samples and a half */

START_TEST(what_is_left_of_a_piece_waits_for_the_next)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "?sequence_id=1&sequence_start=true", RAW, PIECE, 9, 200, "\"shape\":[1,1],\"data\":[10.0]");
    expect(&rig, "sum", "?sequence_id=1", RAW, "", 0, 200, "\"shape\":[0,1],\"data\":[]");
    expect(&rig, "sum", "?sequence_id=1", RAW, "\x00\x06\x00", 3, 200, "\"shape\":[0,1]");
    expect(&rig, "sum", "?sequence_id=1", RAW, "\x07\x00", 2, 200, "\"data\":[35.0]"); /* 3 4 5 6 7 */
    struct reply list = rig_get(&rig, "/v2/models/sum/sequences");
    ck_assert_ptr_nonnull(strstr(list.body, "\"steps\":4"));
    reply_free(&list);
    expect(&rig, "sum", "?sequence_id=1&sequence_end=true", RAW, "", 0, 200, "\"shape\":[0,1]"); /* all was heard */
    expect(&rig, "sum", "?sequence_id=1", RAW, PIECE, 8, 400, "must specify the START flag");
    expect(&rig, "sum", "?sequence_id=1&sequence_start=true&sequence_end=true", RAW, "\x09\x00", 2, 200,
           "\"data\":[9.0]"); /* padded */
    end(&rig);
}
END_TEST

START_TEST(what_is_wrong_has_not_happened)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "?sequence_id=1&sequence_start=true", RAW, PIECE, 9, 200, "\"data\":[10.0]");
    expect(&rig, "sum", "?sequence_id=1", "Content-Type: audio/L16;rate=8000\r\n", "\0\0", 2, 400,
           "had another Content-Type");
    expect(&rig, "sum", "?sequence_id=1", "Content-Type: audio/L16;rate=16000\r\n", "\0\0", 2, 400,
           "had another Content-Type");
    expect(&rig, "sum", "?sequence_id=1", "Content-Type: audio/wav\r\n", "RIFF", 4, 400, "ended within a frame");
    expect(&rig, "sum", "?sequence_id=1&sequence_end=true", RAW, "", 0, 400, "the sound ends within a frame");
    expect(&rig, "sum", "?sequence_id=1&sequence_end=maybe", RAW, "\0", 1, 400, "are true or false");
    expect(&rig, "sum", "?sequence_id=%00", RAW, "\0", 1, 400, "broken escape");
    expect(&rig, "sum", "?sequence_id=2&sequence_start=true", "Content-Type: audio/L16;rate=16000\r\n", "\0\0", 2, 400,
           "pieces must have 8000");
    expect(&rig, "sum", "?sequence_id=2", RAW, "\0\0", 2, 400, "must specify the START flag");
    expect(&rig, "sum", "?sequence_id=1", RAW, "\x00\x06\x00\x07\x00", 5, 200,
           "\"data\":[35.0]"); /* as if nothing was */
    expect(&rig, "sum", "", RAW, "", 0, 400, "the body is empty");
    end(&rig);
}
END_TEST

START_TEST(a_network_that_keeps_nothing_hears_pieces_too)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    static const uint8_t loud[8] = {0, 0x40, 0, 0x40, 0, 0x40, 0, 0x40}; /* half of full scale: 4 */
    expect(&rig, "loud", "?sequence_id=1&sequence_start=true", RAW, "\0\0\0\0\0\0\0\0\0", 9, 200,
           "\"data\":[0.0]}],\"predictions\":[[]],\"speaking\":false");
    expect(&rig, "loud", "?sequence_id=1", RAW, "\0\0", 2, 200, "\"predictions\":[[]],\"speaking\":false");
    expect(&rig, "loud", "?sequence_id=1", RAW, "\0\0\0\0\0", 5, 200, "\"predictions\":[[]],\"speaking\":false");
    expect(&rig, "loud", "?sequence_id=1", RAW, loud, 8, 200,
           "\"data\":[4.0]}],\"predictions\":[[]],\"speaking\":true");
    expect(
        &rig, "loud", "?sequence_id=1", RAW, "\0\0\0\0\0\0\0\0", 8, 200,
        "\"predictions\":[[{\"label\":\"speech\",\"start\":0.001,\"end\":0.0015,\"score\":4.0}]],\"speaking\":false");
    expect(
        &rig, "loud", "?sequence_id=1&sequence_end=true", RAW, loud, 8, 200,
        "\"predictions\":[[{\"label\":\"speech\",\"start\":0.002,\"end\":0.0025,\"score\":4.0}]],\"speaking\":false");
    expect(&rig, "loud", "", RAW, loud, 8, 200, "\"start\":0.0,\"end\":0.0005,\"score\":4.0");
    static const char step[] = "{\"parameters\":{\"sequence_id\":1},\"inputs\":[{\"name\":\"x\",\"datatype\":"
                               "\"FP32\",\"shape\":[1,1,4],\"data\":[1,2,3,4]}]}";
    expect(&rig, "loud", "", "", step, sizeof step - 1, 400, "keeps nothing between requests");
    end(&rig);
}
END_TEST

START_TEST(a_sound_goes_on_in_another_sequence_and_after_a_reload)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "?sequence_id=1&sequence_start=true", RAW, PIECE, 9, 200, "\"data\":[10.0]");
    struct reply kept = rig_get(&rig, "/v2/models/sum/sequences/1/state");
    ck_assert_int_eq(kept.status, 200);
    struct reply put = rig_ask(&rig, "PUT", "/v2/models/sum/sequences/b/state", "", kept.body, kept.n_bytes);
    ck_assert_int_eq(put.status, 200);
    reply_free(&kept);
    reply_free(&put);
    expect(&rig, "sum", "?sequence_id=b", RAW, "\x00\x06\x00\x07\x00", 5, 200, "\"data\":[35.0]");
    write_sum(&rig, "sum", "{\"manifest\":1,\"description\":\"new\"," SOUND "," SEQUENCE "}");
    struct reply load = rig_ask(&rig, "POST", "/v2/repository/models/sum/load", "", "", 0);
    ck_assert_int_eq(load.status, 200);
    reply_free(&load);
    expect(&rig, "sum", "?sequence_id=1", RAW, "\x00\x06\x00\x07\x00", 5, 200, "\"data\":[35.0]");
    end(&rig);
}
END_TEST

/* A step of JSON between pieces moves the state, and leaves what is left of the sound. */
START_TEST(pieces_and_tensors_are_steps_of_one_sequence)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "?sequence_id=1&sequence_start=true", RAW, PIECE, 9, 200, "\"data\":[10.0]");
    static const char step[] = "{\"parameters\":{\"sequence_id\":1},\"inputs\":[{\"name\":\"x\",\"datatype\":"
                               "\"FP32\",\"shape\":[1,5],\"data\":[100,0,0,0,0]}]}";
    expect(&rig, "sum", "", "", step, sizeof step - 1, 200, "\"data\":[110.0]");
    expect(&rig, "sum", "?sequence_id=1", RAW, "\x00\x06\x00\x07\x00", 5, 200, "\"data\":[135.0]");
    end(&rig);
}
END_TEST

Suite *daemon_streams_suite(void)
{
    Suite *suite = suite_create("daemon/streams");
    TCase *tests = tcase_create("streams");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, pieces_cut_anywhere_are_heard_as_the_whole);
    tcase_add_test(tests, what_is_left_of_a_piece_waits_for_the_next);
    tcase_add_test(tests, what_is_wrong_has_not_happened);
    tcase_add_test(tests, a_network_that_keeps_nothing_hears_pieces_too);
    tcase_add_test(tests, a_sound_goes_on_in_another_sequence_and_after_a_reload);
    tcase_add_test(tests, pieces_and_tensors_are_steps_of_one_sequence);
    suite_add_tcase(suite, tests);
    return suite;
}
