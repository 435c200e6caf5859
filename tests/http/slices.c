/* slices.c - replies in slices: the same as at once, whoever comes and goes meanwhile. */
#include "http/slices.h"

#include "serve/loop.h"
#include "folder.h"

#include <check.h>
#include <string.h>

Suite *http_slices_suite(void);

static struct settings settings;
static struct site site;
static struct loop *loop;
static int n_resumed;

static void on_resumed(struct site *resumed)
{
    (void)resumed;
    n_resumed++;
}

static void on_drained(void *user)
{
    *(bool *)user = true;
}

static void start(int64_t slice_ns)
{
    folder_begin("slices");
    folder_files("repo/a/1/model.onnx", "repo/a/2/model.onnx", "repo/b/model.onnx", "repo/c/model.onnx");
    settings = (struct settings){.workers = 1, .private_regions = true, .max_batch_size = 1};
    n_resumed = 0;
    loop = loop_new(1, NULL);
    site = (struct site){.settings = &settings, .resumed = on_resumed, .slice_ns = slice_ns};
    site.catalog = catalog_new(loop, &settings, NULL);
    site.repository = repository_new(loop, site.catalog, &settings, NULL);
    ck_assert(repository_add(site.repository, folder_at("repo"), NULL));
}

static void end(void)
{
    bool drained = false;
    exchange_free_spare(&site);
    catalog_drain(site.catalog, on_drained, &drained);
    loop_run(loop);
    ck_assert(drained);
    catalog_free(site.catalog);
    repository_free(site.repository);
    loop_free(loop);
    folder_end();
}

/* "<", each model, ">", and once more; then "." */
static bool write_row(struct slices *slices, const struct served *served)
{
    if (served)
        text_printf(&slices->text, "%s%d ", served->name, (int)served->version);
    else
        text_add(&slices->text, slices->row == 1 ? "." : "< ");
    return slices->row != 1;
}

static void reply(struct slices *slices)
{
    exchange_reply_text(slices->exchange, 200, "text/plain", &slices->text);
}

static struct exchange *ask(void)
{
    struct exchange *exchange = exchange_new(&site, "/x");
    slices_start(exchange, &(struct slices){.n_rows = 3, .write = write_row, .end = reply});
    return exchange;
}

static void expect(struct exchange *exchange, const char *text)
{
    ck_assert_int_eq(exchange->state, EXCHANGE_ANSWERED);
    ck_assert_int_eq(exchange->status, 200);
    ck_assert_uint_eq(bytes_size(exchange->reply), strlen(text));
    ck_assert_mem_eq(exchange->reply.at, text, strlen(text));
    exchange_free(exchange);
}

#define ALL "a1 a2 b1 c1 "

START_TEST(a_reply_without_a_limit_is_there_at_once)
{
    start(0);
    struct exchange *exchange = ask();
    ck_assert_int_eq(n_resumed, 0);
    ck_assert(slices_go_on(&site));
    expect(exchange, "< " ALL ".< " ALL "\n");
    end();
}
END_TEST

/* A nanosecond has passed after each step. */
START_TEST(a_reply_in_slices_is_the_same)
{
    start(1);
    struct exchange *exchange = ask();
    int n_slices = 1;
    ck_assert_int_eq(exchange->state, EXCHANGE_WAITING);
    ck_assert_int_eq(n_resumed, 1);
    while (!slices_go_on(&site))
        n_slices++;
    ck_assert_int_gt(n_slices, 10);
    expect(exchange, "< " ALL ".< " ALL "\n");
    end();
}
END_TEST

START_TEST(several_replies_take_turns)
{
    start(1);
    struct exchange *first = ask(), *second = ask();
    for (int i = 0; i < 4; i++)
        ck_assert(!slices_go_on(&site));
    ck_assert_uint_eq(first->slices->text.n_bytes, second->slices->text.n_bytes);
    while (!slices_go_on(&site))
        continue;
    expect(second, "< " ALL ".< " ALL "\n");
    expect(first, "< " ALL ".< " ALL "\n");
    end();
}
END_TEST

/* The one that was written last is gone, as is the one that would have come. */
START_TEST(models_may_go_between_slices)
{
    start(1);
    struct exchange *exchange = ask();
    slices_go_on(&site);
    slices_go_on(&site); /* a1, a2 */
    struct served *a1 = catalog_first(site.catalog), *a2 = a1->next, *b1 = a2->next;
    a1->next = b1->next;
    while (!slices_go_on(&site))
        continue;
    a1->next = a2;
    expect(exchange, "< a1 a2 c1 .< a1 c1 \n");
    end();
}
END_TEST

START_TEST(who_has_left_is_written_no_further)
{
    start(1);
    struct exchange *gone = ask(), *stays = ask();
    exchange_cancel(gone);
    ck_assert_int_eq(gone->state, EXCHANGE_ANSWERED);
    ck_assert_int_ge(gone->status, 400);
    exchange_cancel(gone);
    exchange_free(gone);
    while (!slices_go_on(&site))
        continue;
    expect(stays, "< " ALL ".< " ALL "\n");
    end();
}
END_TEST

START_TEST(where_memory_is_short_the_reply_says_so)
{
    start(1);
    struct exchange *exchange = ask();
    exchange->arena.limit_bytes = exchange->arena.used_bytes + 8;
    for (int i = 0; i < 50 && !slices_go_on(&site); i++)
        exchange->slices->text.capacity = exchange->slices->text.n_bytes;
    ck_assert_int_eq(exchange->state, EXCHANGE_ANSWERED);
    ck_assert_int_eq(exchange->status, 507);
    exchange->arena.limit_bytes = 0;
    exchange_free(exchange);
    end();
}
END_TEST

Suite *http_slices_suite(void)
{
    Suite *suite = suite_create("http/slices");
    TCase *tests = tcase_create("slices");
    tcase_add_test(tests, a_reply_without_a_limit_is_there_at_once);
    tcase_add_test(tests, a_reply_in_slices_is_the_same);
    tcase_add_test(tests, several_replies_take_turns);
    tcase_add_test(tests, models_may_go_between_slices);
    tcase_add_test(tests, who_has_left_is_written_no_further);
    tcase_add_test(tests, where_memory_is_short_the_reply_says_so);
    suite_add_tcase(suite, tests);
    return suite;
}
