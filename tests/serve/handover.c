/* handover.c - a state as bytes: it reads back, and nothing that was changed on the way is taken for it. */
#include "serve/handover.h"

#include "base/err.h"
#include "fake_model.h"
#include "serve/states.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

Suite *serve_handover_suite(void);

#define KEPT 64

static struct fake_model *fake;
static struct arena arena;
static struct states states = {.n_bytes = KEPT};
static uint8_t kept[KEPT];
static struct bytes blob;

static void setup(void)
{
    fake = fake_model_new("m");
    fake->served.states = &states;
    fake->served.version = 3;
    states.n_bytes = KEPT;
    for (int i = 0; i < KEPT; i++)
        kept[i] = (uint8_t)(i * 7);
    const struct sequence_view view = {.served = &fake->served, .steps = 12, .states = bytes_of(kept, KEPT)};
    ck_assert(handover_write(&view, &arena, &blob, NULL));
}

static void teardown(void)
{
    arena_free(&arena);
    fake_model_free(fake);
}

static bool reads(struct bytes bytes, struct handover *handover)
{
    /* as long as it is, so that reading past its end shows */
    const size_t n = bytes_size(bytes);
    uint8_t *copy = malloc(n ? n : 1);
    if (n)
        memcpy(copy, bytes.at, n);
    fake->err = (struct percept_err){0};
    bool ok = handover_read(bytes_of(copy, n), &fake->served, &arena, handover, &fake->err);
    if (ok)
        handover->states = bytes_of(arena_text(&arena, handover->states.at, bytes_size(handover->states)),
                                    bytes_size(handover->states));
    else
        ck_assert_int_eq(fake->err.code, ERR_INVALID);
    free(copy);
    return ok;
}

START_TEST(what_was_written_reads_back)
{
    struct handover handover;
    ck_assert_msg(reads(blob, &handover), "%s", fake->err.text);
    ck_assert_uint_eq(handover.steps, 12);
    ck_assert(bytes_equal(handover.states, bytes_of(kept, KEPT)));
    ck_assert_ptr_null(handover.other_level);
}
END_TEST

START_TEST(every_cut_and_every_bit_that_was_turned_is_found)
{
    struct handover handover;
    const size_t n = bytes_size(blob);
    uint8_t *copy = malloc(n + 1);
    for (size_t cut = 0; cut < n; cut++)
        ck_assert(!reads((struct bytes){blob.at, blob.at + cut}, &handover));
    for (size_t bit = 0; bit < 8 * n; bit++) {
        memcpy(copy, blob.at, n);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_msg(!reads(bytes_of(copy, n), &handover), "bit %zu", bit);
    }
    memcpy(copy, blob.at, n);
    copy[n] = 0;
    ck_assert(!reads(bytes_of(copy, n + 1), &handover));
    free(copy);
}
END_TEST

START_TEST(another_model_refuses_it)
{
    struct handover handover;
    fake->served.name = "n";
    ck_assert(!reads(blob, &handover));
    ck_assert_msg(strstr(fake->err.text, "is of model 'm' version 3; it cannot go on in 'n'"), "%s", fake->err.text);
    fake->served.name = "m";
    fake->served.version = 4;
    ck_assert(!reads(blob, &handover));
    fake->served.version = 3;
    states.n_bytes = 2 * KEPT;
    ck_assert(!reads(blob, &handover));
    ck_assert_msg(strstr(fake->err.text, "has 64 bytes; model 'm' keeps 128"), "%s", fake->err.text);
}
END_TEST

Suite *serve_handover_suite(void)
{
    Suite *suite = suite_create("serve_handover");
    TCase *tcase = tcase_create("handover");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_was_written_reads_back);
    tcase_add_test(tcase, every_cut_and_every_bit_that_was_turned_is_found);
    tcase_add_test(tcase, another_model_refuses_it);
    suite_add_tcase(suite, tcase);
    return suite;
}
