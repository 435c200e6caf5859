/*
 * exchange.c - tests of http/exchange.c without a socket: judging, collecting, replies, reuse, and
 * memory that is short at every allocation in turn.
 */
#include "http/exchange.h"

#include "base/budget.h"
#include "base/log.h"
#include "http/routes.h"

#include <check.h>
#include <malloc.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct settings settings;
static struct site site;

static void on_resumed(struct site *resumed)
{
    (void)resumed;
}

static void start(void)
{
    settings = (struct settings){.max_body_bytes = 100};
    site = (struct site){.settings = &settings, .resumed = on_resumed};
}

static void end(void)
{
    ck_assert_uint_eq(site.body_bytes, 0);
    exchange_free_spare(&site);
}

/* An exchange whose headers have come: Host and, if it is not negative, Content-Length. */
static struct exchange *born(const char *method, const char *target, int64_t content_length)
{
    struct exchange *exchange = exchange_new(&site, target);
    if (!exchange)
        return NULL;
    framing_start(&exchange->headers, "HTTP/1.1");
    framing_header(&exchange->headers, bytes_of_text("Host"), bytes_of_text("x"));
    exchange->headers.content_length = content_length;
    exchange_judge(exchange, method);
    return exchange;
}

static bool says(const struct exchange *exchange, const char *text)
{
    return memmem(exchange->reply.at, bytes_size(exchange->reply), text, strlen(text)) != NULL;
}

START_TEST(a_known_route_waits_for_the_body)
{
    start();
    struct exchange *exchange = born("POST", "/v2/models/a/versions/7/infer", 10);
    ck_assert_int_eq(exchange->state, EXCHANGE_BODY);
    ck_assert_str_eq(exchange->name, "a");
    ck_assert_int_eq(exchange->version, 7);
    ck_assert(exchange->route->handle == v2_infer);
    exchange_free(exchange);
    end();
}
END_TEST

static const struct {
    const char *method, *target;
    int64_t content_length;
    int status;
    bool early;
} judged[] = {
    {"GET", "/nowhere", -1, 404, false},
    {"DELETE", "/v2", -1, 405, false},
    {"GET", "/v2/models/%00", -1, 400, true},
    {"GET", "/v2/models/a%20b", -1, 400, false},
    {"POST", "/v2/models/a/infer", 101, 413, false},
    {"POST", "/v2/models/a/infer", 800, 413, false},
    {"POST", "/v2/models/a/infer", 801, 413, true},
    {"POST", "/nowhere", 801, 413, true},
    {"POST", "/v2/repository/models/a/load", 2, 403, false},
};

START_TEST(refusals_come_early_only_where_reading_on_is_worse)
{
    start();
    struct exchange *exchange = born(judged[_i].method, judged[_i].target, judged[_i].content_length);
    ck_assert_int_eq(exchange->state, EXCHANGE_ANSWERED);
    ck_assert_int_eq(exchange->status, judged[_i].status);
    ck_assert_int_eq(exchange->early, judged[_i].early);
    ck_assert(says(exchange, "{\"error\":\""));
    exchange_free(exchange);
    end();
}
END_TEST

START_TEST(a_body_is_collected_in_pieces)
{
    start();
    for (int known = 0; known < 2; known++) {
        struct exchange *exchange = born("POST", "/v2/models/a/infer", known ? 100 : -1);
        for (int i = 0; i < 100; i++)
            ck_assert(exchange_take(exchange, &"0123456789"[i % 10], 1));
        ck_assert_uint_eq(exchange->body_bytes, 100);
        ck_assert_uint_eq(site.body_bytes, 100);
        ck_assert(memcmp(exchange->body + 90, "0123456789", 10) == 0);
        site.turnover_bytes = 0;
        exchange_free(exchange);
        ck_assert_uint_ge(site.turnover_bytes, 100);
    }
    end();
}
END_TEST

START_TEST(a_body_over_the_limit_is_thrown_away_and_then_cut)
{
    start();
    struct exchange *exchange = born("POST", "/v2/models/a/infer", -1);
    char piece[50] = {0};
    ck_assert(exchange_take(exchange, piece, 50));
    ck_assert(exchange_take(exchange, piece, 50));
    ck_assert_int_eq(exchange->state, EXCHANGE_BODY);
    ck_assert(exchange_take(exchange, piece, 1));
    ck_assert_int_eq(exchange->status, 413);
    ck_assert_uint_eq(site.body_bytes, 0);
    for (int i = 0; i < 13; i++)
        ck_assert(exchange_take(exchange, piece, 50));
    ck_assert(exchange_take(exchange, piece, 49));
    ck_assert(!exchange_take(exchange, piece, 1)); /* the 801st byte */
    exchange_free(exchange);
    end();
}
END_TEST

START_TEST(all_bodies_together_have_a_limit)
{
    start();
    struct exchange *exchanges[20];
    char piece[100] = {0};
    int n = 0, status = 0;
    for (; n < 20 && !status; n++) {
        exchanges[n] = born("POST", "/v2/models/a/infer", 100);
        ck_assert(exchange_take(exchanges[n], piece, 100));
        status = exchanges[n]->status;
    }
    ck_assert_int_eq(status, 503);
    ck_assert_int_gt(n, 16);
    while (n-- > 0)
        exchange_free(exchanges[n]);
    end();
}
END_TEST

START_TEST(errors_have_their_status_and_are_quoted)
{
    start();
    struct exchange *exchange = born("GET", "/v2", -1);
    exchange_refuse(exchange, ERR_UNAVAILABLE, "say \"%s\"\n", "when");
    ck_assert_int_eq(exchange->status, 503);
    ck_assert(bytes_is(exchange->reply, "{\"error\":\"say \\\"when\\\"\\n\"}\n"));
    ck_assert_int_eq(exchange->n_headers, 1);
    ck_assert_str_eq(exchange->reply_headers[0].name, "Retry-After");
    ck_assert_str_eq(exchange->reply_headers[0].value, "1");
    exchange_free(exchange);
    exchange = born("GET", "/v2", -1);
    exchange->retry_s = 17;
    exchange_refuse(exchange, ERR_TIMEOUT, "late");
    ck_assert_str_eq(exchange->reply_headers[0].value, "17");
    exchange_free(exchange);
    end();
}
END_TEST

/* Lines of a log that was written into a file. */
static char *lines_of(FILE *file)
{
    static char text[65536];
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    return text;
}

static int n_lines(const char *text)
{
    int n = 0;
    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

static void refuse_at(const char *target, int64_t now_ns)
{
    struct exchange *exchange = exchange_new(&site, target);
    exchange->arrived_ns = now_ns;
    framing_start(&exchange->headers, "HTTP/1.1");
    framing_header(&exchange->headers, bytes_of_text("Host"), bytes_of_text("x"));
    exchange_judge(exchange, "GET");
    ck_assert_int_ge(exchange->status, 400);
    exchange_free(exchange);
}

START_TEST(refusals_have_a_line_each_up_to_ten_a_second)
{
    static const int64_t second_ns = 1000000000;
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    start();
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    log_setup(LOG_INFO_LEVEL, false);
    refuse_at("/nowhere", second_ns);
    refuse_at("/v2/models/%00", second_ns);
    refuse_at("/v2/models/a%20b", second_ns);
    refuse_at("/v2/models/a/infer", second_ns);
    const char *text = lines_of(file);
    ck_assert_msg(n_lines(text) == 4, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, " info  request refused  status=404 method=GET path=/nowhere "
                                       "why=\"Not Found: there is no such path"));
    ck_assert_ptr_nonnull(strstr(text, "status=400 method=GET path=\"\" why=\"malformed request"));
    ck_assert_ptr_nonnull(strstr(text, "status=400 method=GET path=\"/v2/models/a b\" why="));
    ck_assert_ptr_nonnull(strstr(text, "status=405 method=GET path=/v2/models/a/infer why="));
    for (int i = 0; i < 50; i++)
        refuse_at("/nowhere", 2 * second_ns - 1);
    ck_assert_int_eq(n_lines(lines_of(file)), 10);
    ck_assert_ptr_null(strstr(lines_of(file), "unlogged"));
    refuse_at("/nowhere", 2 * second_ns);
    refuse_at("/nowhere", 2 * second_ns);
    ck_assert_int_eq(n_lines(lines_of(file)), 12);
    ck_assert_ptr_nonnull(strstr(lines_of(file), " unlogged=44\n"));
    log_setup(LOG_WARN_LEVEL, false);
    refuse_at("/nowhere", 4 * second_ns);
    ck_assert_int_eq(n_lines(lines_of(file)), 12);
    dup2(saved, STDERR_FILENO);
    log_setup(LOG_INFO_LEVEL, false);
    close(saved);
    fclose(file);
    end();
}
END_TEST

START_TEST(exchanges_are_used_again_without_asking_for_memory)
{
    start();
    char piece[50] = {0};
    size_t calls = 0;
    for (int i = 0; i < 10; i++) {
        if (i == 2)
            calls = arena_calls();
        struct exchange *exchange = born("POST", "/v2/models/a/infer", 50);
        ck_assert_ptr_null(exchange->body);
        ck_assert_int_eq(exchange->n_headers, 0);
        ck_assert(exchange_take(exchange, piece, 50));
        exchange_free(exchange);
    }
    ck_assert_uint_eq(arena_calls(), calls);
    ck_assert_int_eq(site.n_spare, 1);
    end();
}
END_TEST

/* Memory is given back whenever everybody has left; what is for the time without any is not. */
START_TEST(the_last_word_stays_when_memory_is_given_back)
{
    struct percept_err err = {0};
    start();
    ck_assert(exchange_make_last_word(&site, &err));
    struct MHD_Response *word = site.last_word;
    ck_assert_str_eq(MHD_get_response_header(word, "Content-Type"), "application/json");
    ck_assert_str_eq(MHD_get_response_header(word, "Connection"), "close");
    for (int n_spare = 0; n_spare < 3; n_spare++) { /* none, one, two */
        struct exchange *exchanges[2];
        for (int i = 0; i < n_spare; i++)
            ck_assert_ptr_nonnull(exchanges[i] = born("GET", "/v2", -1));
        for (int i = 0; i < n_spare; i++)
            exchange_free(exchanges[i]);
        ck_assert_int_eq(site.n_spare, n_spare);
        exchange_free_spare(&site);
        ck_assert_int_eq(site.n_spare, 0);
        ck_assert_ptr_eq(site.last_word, word);
    }
    exchange_free_last_word(&site);
    ck_assert_ptr_null(site.last_word);
    end();
}
END_TEST

/* Large bodies and replies leave in parts, one behind the other; small ones, and more than can be remembered, at
 * once. */
START_TEST(large_requests_leave_in_parts)
{
    enum { MB = 1 << 20 };
    struct exchange *exchanges[EXCHANGE_LEAVING + 2];
    start();
    settings.max_body_bytes = 40 * MB;
    ck_assert(exchange_free_part(&site)); /* nothing leaves */
    exchanges[0] = born("POST", "/v2/models/a/infer", 40 * MB);
    ck_assert(exchange_take(exchanges[0], "x", 1));
    ck_assert_ptr_nonnull(arena_alloc(&exchanges[0]->arena, 20 * MB));
    exchange_free(exchanges[0]);
    ck_assert_int_eq(site.n_leaving, 2);
    ck_assert_uint_eq(site.body_bytes, 0);
    int parts = 1;
    while (!exchange_free_part(&site))
        parts++;
    ck_assert_int_ge(parts, 60); /* a MB each */
    ck_assert_int_le(parts, 62);
    for (int i = 0; i < EXCHANGE_LEAVING + 2; i++) {
        exchanges[i] = born("POST", "/v2/models/a/infer", -1);
        ck_assert_ptr_nonnull(arena_alloc(&exchanges[i]->arena, 17 * MB));
    }
    for (int i = 0; i < EXCHANGE_LEAVING + 2; i++)
        exchange_free(exchanges[i]);
    ck_assert_int_eq(site.n_leaving, EXCHANGE_LEAVING);
    exchange_free_spare(&site); /* everybody has left */
    ck_assert_int_eq(site.n_leaving, 0);
    exchanges[0] = born("POST", "/v2/models/a/infer", -1);
    ck_assert_ptr_nonnull(arena_alloc(&exchanges[0]->arena, MB / 2));
    exchange_free(exchanges[0]);
    ck_assert_int_eq(site.n_leaving, 0);
    end();
}
END_TEST

/* Neither more than a spare one keeps nor so large that it leaves in parts: at once. */
START_TEST(what_is_neither_small_nor_large_is_given_back_at_once)
{
    struct percept_budget budget = {.limit_bytes = 1 << 30};
    static char piece[200000];
    start();
    settings.max_body_bytes = sizeof piece;
    settings.budget = &budget;
    for (int i = 0; i < 3; i++) {
        struct exchange *exchange = born("POST", "/v2/models/a/infer", -1);
        ck_assert(exchange_take(exchange, piece, sizeof piece));
        ck_assert_uint_ge(budget_used(&budget), sizeof piece);
        exchange_free(exchange);
        ck_assert_uint_eq(budget_used(&budget), 0);
    }
    struct exchange *exchange = born("POST", "/v2/models/a/infer", -1);
    ck_assert_ptr_nonnull(arena_alloc(&exchange->arena, sizeof piece));
    exchange_free(exchange);
    ck_assert_uint_eq(site.spare->arena.used_bytes, 0);
    ck_assert_ptr_null(site.spare->arena.blocks);
    ck_assert_int_eq(site.n_leaving, 0);
    end();
}
END_TEST

/* A reply that cannot be sent: there is no connection. */
START_TEST(a_reply_leaves_no_memory_behind)
{
    start();
    struct exchange *exchange = born("GET", "/nowhere", -1);
    bool sent = false;
    size_t in_use[2];
    for (int i = 0; i < 200; i++) {
        in_use[i >= 100] = mallinfo2().uordblks;
        sent |= exchange_send(exchange);
    }
    ck_assert(!sent);
    ck_assert_uint_eq(in_use[1], in_use[0]);
    ck_assert_uint_eq(site.statuses[404], 0);
    exchange_free(exchange);
    end();
}
END_TEST

START_TEST(no_room_for_a_body_is_no_byte_of_it)
{
    start();
    settings.max_body_bytes = 0;
    struct exchange *exchange = born("POST", "/v2/models/a/infer", 1);
    ck_assert_int_eq(exchange->status, 413);
    exchange_free(exchange);
    exchange = born("POST", "/v2/models/a/infer", 0);
    ck_assert_int_eq(exchange->state, EXCHANGE_BODY);
    exchange_free(exchange);
    end();
}
END_TEST

START_TEST(short_memory_is_an_answer_or_a_close)
{
    char piece[50] = {0};
    for (size_t nth = 1; nth <= 8; nth++)
        for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
            start();
            arena_fail_at(nth, from_then_on);
            struct exchange *exchange = born("POST", "/v2/models/a/infer", -1);
            bool taken = exchange && exchange_take(exchange, piece, 50);
            arena_fail_at(0, false);
            if (exchange) {
                ck_assert(taken);
                ck_assert(exchange->state == EXCHANGE_BODY ? nth > 1 : exchange->status >= 500);
                exchange_free(exchange);
            }
            end();
        }
}
END_TEST

Suite *http_exchange_suite(void)
{
    Suite *suite = suite_create("http/exchange");
    TCase *tcase = tcase_create("exchange");
    tcase_add_test(tcase, a_known_route_waits_for_the_body);
    tcase_add_loop_test(tcase, refusals_come_early_only_where_reading_on_is_worse, 0, sizeof judged / sizeof judged[0]);
    tcase_add_test(tcase, a_body_is_collected_in_pieces);
    tcase_add_test(tcase, a_body_over_the_limit_is_thrown_away_and_then_cut);
    tcase_add_test(tcase, all_bodies_together_have_a_limit);
    tcase_add_test(tcase, errors_have_their_status_and_are_quoted);
    tcase_add_test(tcase, refusals_have_a_line_each_up_to_ten_a_second);
    tcase_add_test(tcase, exchanges_are_used_again_without_asking_for_memory);
    tcase_add_test(tcase, the_last_word_stays_when_memory_is_given_back);
    tcase_add_test(tcase, large_requests_leave_in_parts);
    tcase_add_test(tcase, what_is_neither_small_nor_large_is_given_back_at_once);
    tcase_add_test(tcase, a_reply_leaves_no_memory_behind);
    tcase_add_test(tcase, no_room_for_a_body_is_no_byte_of_it);
    tcase_add_test(tcase, short_memory_is_an_answer_or_a_close);
    suite_add_tcase(suite, tcase);
    return suite;
}
