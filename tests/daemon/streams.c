/*
 * streams.c - sounds that are heard window by window, over HTTP: whole, and in pieces that are cut anywhere; what is
 * kept between them, what is refused, what a reload and a hand-over do.
 */
#include "heard.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Suite *daemon_streams_suite(void);

static bool begin(struct rig *rig)
{
    if (!rig_is_there())
        return false;
    rig_begin(rig);
    heard_write_sum(rig, "sum", "{\"manifest\":1," HEARD_SOUND "," HEARD_SEQUENCE "}");
    heard_write_loud(rig,
                     "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"audio\",\"rate\":8000,\"range\":8,\"window\":4,"
                     "\"layout\":\"NCT\"}},\"task\":{\"kind\":\"vad\",\"min_speech_duration_ms\":0,"
                     "\"min_silence_duration_ms\":0,\"speech_pad_ms\":0}}");
    rig_start(rig, "%s/models --admin", rig->folder);
    return true;
}

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

/* The recording in pieces of so many bytes; what is answered behind each other. */
static int post_pieces(const struct rig *rig, int n_piece, float *to)
{
    uint8_t bytes[2 * HEARD_N];
    int n = 0;
    heard_record(bytes);
    for (int at = 0; at < 2 * HEARD_N; at += n_piece) {
        char query[100];
        const int some = n_piece < 2 * HEARD_N - at ? n_piece : 2 * HEARD_N - at;
        snprintf(query, sizeof query, "?sequence_id=p&sequence_start=%s&sequence_end=%s", at ? "false" : "true",
                 at + some == 2 * HEARD_N ? "true" : "false");
        struct reply reply = post(rig, "sum", query, HEARD_RAW, bytes + at, (size_t)some);
        ck_assert_msg(reply.status == 200, "%d of %d: %d %s", at, n_piece, reply.status, reply.body);
        const int more = reply_floats(&reply, to + n, HEARD_N - n);
        ck_assert_int_ge(more, 0);
        n += more;
        reply_free(&reply);
    }
    return n;
}

START_TEST(pieces_cut_anywhere_are_heard_as_the_whole)
{
    struct rig rig;
    float want[HEARD_N], got[HEARD_N];
    uint8_t bytes[2 * HEARD_N];
    if (!begin(&rig))
        return;
    const int n = heard_sums(want);
    heard_record(bytes);
    struct reply whole = post(&rig, "sum", "", HEARD_RAW, bytes, sizeof bytes);
    ck_assert_msg(whole.status == 200, "%s", whole.body);
    ck_assert_int_eq(reply_floats(&whole, got, HEARD_N), n);
    ck_assert_mem_eq(got, want, (size_t)n * sizeof *got);
    ck_assert_ptr_nonnull(strstr(whole.body, "\"windows\":[{\"start\":0.0,\"end\":0.0005},{\"start\":0.000375"));
    ck_assert_ptr_null(strstr(whole.body, "\"hn\"")); /* the state is nobody's business */
    reply_free(&whole);
    for (int n_piece = 1; n_piece <= 2 * HEARD_N; n_piece++) {
        ck_assert_int_eq(post_pieces(&rig, n_piece, got), n);
        ck_assert_mem_eq(got, want, (size_t)n * sizeof *got);
    }
    ck_assert(rig_metric(&rig, "perceptd_sequences{") == 0);
    rig_finish(&rig);
}
END_TEST

#define PIECE "\x01\x00\x02\x00\x03\x00\x04\x00\x05" /* four samples and a half */

START_TEST(what_is_left_of_a_piece_waits_for_the_next)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "?sequence_id=1&sequence_start=true", HEARD_RAW, PIECE, 9, 200,
           "\"shape\":[1,1],\"data\":[10.0]");
    expect(&rig, "sum", "?sequence_id=1", HEARD_RAW, "", 0, 200, "\"shape\":[0,1],\"data\":[]");
    expect(&rig, "sum", "?sequence_id=1", HEARD_RAW, "\x00\x06\x00", 3, 200, "\"shape\":[0,1]");
    expect(&rig, "sum", "?sequence_id=1", HEARD_RAW, "\x07\x00", 2, 200, "\"data\":[35.0]"); /* 3 4 5 6 7 */
    struct reply list = rig_get(&rig, "/v2/models/sum/sequences");
    ck_assert_ptr_nonnull(strstr(list.body, "\"steps\":4"));
    reply_free(&list);
    expect(&rig, "sum", "?sequence_id=1&sequence_end=true", HEARD_RAW, "", 0, 200,
           "\"shape\":[0,1]"); /* all was heard */
    expect(&rig, "sum", "?sequence_id=1", HEARD_RAW, PIECE, 8, 400, "must specify the START flag");
    expect(&rig, "sum", "?sequence_id=1&sequence_start=true&sequence_end=true", HEARD_RAW, "\x09\x00", 2, 200,
           "\"data\":[9.0]"); /* padded */
    rig_finish(&rig);
}
END_TEST

START_TEST(what_is_wrong_has_not_happened)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "?sequence_id=1&sequence_start=true", HEARD_RAW, PIECE, 9, 200, "\"data\":[10.0]");
    expect(&rig, "sum", "?sequence_id=1", "Content-Type: audio/L16;rate=8000\r\n", "\0\0", 2, 400,
           "had another Content-Type");
    expect(&rig, "sum", "?sequence_id=1", "Content-Type: audio/L16;rate=16000\r\n", "\0\0", 2, 400,
           "had another Content-Type");
    expect(&rig, "sum", "?sequence_id=1", "Content-Type: audio/wav\r\n", "RIFF", 4, 400, "ended within a frame");
    expect(&rig, "sum", "?sequence_id=1&sequence_end=true", HEARD_RAW, "", 0, 400, "the sound ends within a frame");
    expect(&rig, "sum", "?sequence_id=1&sequence_end=maybe", HEARD_RAW, "\0", 1, 400, "are true or false");
    expect(&rig, "sum", "?sequence_id=%00", HEARD_RAW, "\0", 1, 400, "broken escape");
    expect(&rig, "sum", "?sequence_id=2&sequence_start=true", "Content-Type: audio/L16;rate=16000\r\n", "\0\0", 2, 400,
           "pieces must have 8000");
    expect(&rig, "sum", "?sequence_id=2", HEARD_RAW, "\0\0", 2, 400, "must specify the START flag");
    expect(&rig, "sum", "?sequence_id=1", HEARD_RAW, "\x00\x06\x00\x07\x00", 5, 200,
           "\"data\":[35.0]"); /* as if nothing was */
    expect(&rig, "sum", "", HEARD_RAW, "", 0, 400, "the body is empty");
    rig_finish(&rig);
}
END_TEST

START_TEST(a_network_that_keeps_nothing_hears_pieces_too)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    static const uint8_t loud[8] = {0, 0x40, 0, 0x40, 0, 0x40, 0, 0x40}; /* half of full scale: 4 */
    expect(&rig, "loud", "?sequence_id=1&sequence_start=true", HEARD_RAW, "\0\0\0\0\0\0\0\0\0", 9, 200,
           "\"data\":[0.0]}],\"predictions\":[[]],\"speaking\":false");
    expect(&rig, "loud", "?sequence_id=1", HEARD_RAW, "\0\0", 2, 200, "\"predictions\":[[]],\"speaking\":false");
    expect(&rig, "loud", "?sequence_id=1", HEARD_RAW, "\0\0\0\0\0", 5, 200, "\"predictions\":[[]],\"speaking\":false");
    expect(&rig, "loud", "?sequence_id=1", HEARD_RAW, loud, 8, 200,
           "\"data\":[4.0]}],\"predictions\":[[]],\"speaking\":true");
    expect(
        &rig, "loud", "?sequence_id=1", HEARD_RAW, "\0\0\0\0\0\0\0\0", 8, 200,
        "\"predictions\":[[{\"label\":\"speech\",\"start\":0.001,\"end\":0.0015,\"score\":4.0}]],\"speaking\":false");
    expect(
        &rig, "loud", "?sequence_id=1&sequence_end=true", HEARD_RAW, loud, 8, 200,
        "\"predictions\":[[{\"label\":\"speech\",\"start\":0.002,\"end\":0.0025,\"score\":4.0}]],\"speaking\":false");
    expect(&rig, "loud", "", HEARD_RAW, loud, 8, 200, "\"start\":0.0,\"end\":0.0005,\"score\":4.0");
    static const char step[] = "{\"parameters\":{\"sequence_id\":1},\"inputs\":[{\"name\":\"x\",\"datatype\":"
                               "\"FP32\",\"shape\":[1,1,4],\"data\":[1,2,3,4]}]}";
    expect(&rig, "loud", "", "", step, sizeof step - 1, 400, "keeps nothing between requests");
    rig_finish(&rig);
}
END_TEST

START_TEST(a_sound_goes_on_in_another_sequence_and_after_a_reload)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "?sequence_id=1&sequence_start=true", HEARD_RAW, PIECE, 9, 200, "\"data\":[10.0]");
    struct reply kept = rig_get(&rig, "/v2/models/sum/sequences/1/state");
    ck_assert_int_eq(kept.status, 200);
    struct reply put = rig_ask(&rig, "PUT", "/v2/models/sum/sequences/b/state", "", kept.body, kept.n_bytes);
    ck_assert_int_eq(put.status, 200);
    reply_free(&kept);
    reply_free(&put);
    expect(&rig, "sum", "?sequence_id=b", HEARD_RAW, "\x00\x06\x00\x07\x00", 5, 200, "\"data\":[35.0]");
    heard_write_sum(&rig, "sum", "{\"manifest\":1,\"description\":\"new\"," HEARD_SOUND "," HEARD_SEQUENCE "}");
    struct reply load = rig_ask(&rig, "POST", "/v2/repository/models/sum/load", "", "", 0);
    ck_assert_int_eq(load.status, 200);
    reply_free(&load);
    expect(&rig, "sum", "?sequence_id=1", HEARD_RAW, "\x00\x06\x00\x07\x00", 5, 200, "\"data\":[35.0]");
    rig_finish(&rig);
}
END_TEST

/* A step of JSON between pieces moves the state, and leaves what is left of the sound. */
START_TEST(pieces_and_tensors_are_steps_of_one_sequence)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "?sequence_id=1&sequence_start=true", HEARD_RAW, PIECE, 9, 200, "\"data\":[10.0]");
    static const char step[] = "{\"parameters\":{\"sequence_id\":1},\"inputs\":[{\"name\":\"x\",\"datatype\":"
                               "\"FP32\",\"shape\":[1,5],\"data\":[100,0,0,0,0]}]}";
    expect(&rig, "sum", "", "", step, sizeof step - 1, 200, "\"data\":[110.0]");
    expect(&rig, "sum", "?sequence_id=1", HEARD_RAW, "\x00\x06\x00\x07\x00", 5, 200, "\"data\":[135.0]");
    rig_finish(&rig);
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
