/* routes.c - tests of http/routes.c: which row a path finds, 404 and 405, the printed list. */
#include "http/routes.h"

#include "base/err.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct arena arena;
static struct routes_found found;

static void find(const char *method, const char *path)
{
    routes_find(method, path, &arena, &found);
}

static const struct {
    const char *method, *path;
    void (*handle)(struct exchange *exchange);
    const char *name;
    int64_t version;
} rows[] = {
    {"GET", "/", page_root, "", 0},
    {"HEAD", "/", page_root, "", 0},
    {"GET", "/page/page.js", page_asset, "", 0},
    {"GET", "/metrics", metrics_get, "", 0},
    {"GET", "/openapi.json", openapi_get, "", 0},
    {"GET", "/v2", v2_meta_server, "", 0},
    {"GET", "/v2/", v2_meta_server, "", 0},
    {"GET", "/v2/health/live", v2_meta_live, "", 0},
    {"GET", "/v2/health/ready", v2_meta_ready, "", 0},
    {"GET", "/v2/models", v2_meta_models, "", 0},
    {"GET", "/v2/models/", v2_meta_models, "", 0},
    {"GET", "/v2/models/a", v2_meta_model, "a", 0},
    {"GET", "/v2/models/a/", v2_meta_model, "a", 0},
    {"GET", "/v2/models/a/versions/12", v2_meta_model, "a", 12},
    {"GET", "/v2/models/a/versions/12/", v2_meta_model, "a", 12},
    {"GET", "/v2/models/a/config", v2_config, "a", 0},
    {"GET", "/v2/models/a/versions/3/config", v2_config, "a", 3},
    {"GET", "/v2/models/stats", v2_stats, "", 0},
    {"GET", "/v2/models/a/stats", v2_stats, "a", 0},
    {"GET", "/v2/models/a/versions/3/stats", v2_stats, "a", 3},
    {"GET", "/v2/models/a/ready", v2_meta_model_ready, "a", 0},
    {"GET", "/v2/models/a/versions/3/ready", v2_meta_model_ready, "a", 3},
    {"POST", "/v2/models/NAME/infer", v2_infer, "NAME", 0},
    {"POST", "/v2/models/a/versions/003/infer", v2_infer, "a", 3},
    {"POST", "/v2/repository/index", v2_admin_index, "", 0},
    {"POST", "/v2/repository/models/index", v2_admin_elsewhere, "", 0},
    {"POST", "/v2/repository/my%20own/index", v2_admin_elsewhere, "", 0},
    {"POST", "/v2/repository/r/models/a/load", v2_admin_elsewhere, "a", 0},
    {"POST", "/v2/repository/r/models/a/unload", v2_admin_elsewhere, "a", 0},
    {"GET", "/v2/logging", v2_logging_get, "", 0},
    {"POST", "/v2/logging", v2_logging_set, "", 0},
    {"GET", "/v2/models/a/trace/setting", v2_trace_get, "a", 0},
    {"POST", "/v2/cudasharedmemory/region/any name/register", v2_cuda_register, "any name", 0},
    {"GET", "/v1/models", v2_meta_models, "", 0},
    {"GET", "/v1/models/", v2_meta_models, "", 0},
    {"GET", "/v1/models/a", v1_status, "a", 0},
    {"GET", "/v1/models/a/versions/2", v1_status, "a", 2},
    {"GET", "/v1/models/a/labels/best-1", v1_status, "a", 0},
    {"GET", "/v1/models/a/metadata", v1_metadata, "a", 0},
    {"GET", "/v1/models/a/labels/best-1/metadata", v1_metadata, "a", 0},
    {"POST", "/v1/models/a:predict", v2_infer, "a", 0},
    {"POST", "/v1/models/a/versions/2:predict", v2_infer, "a", 2},
    {"POST", "/v1/models/a/labels/best-1:predict", v2_infer, "a", 0},
    {"POST", "/v1/models/a:classify", v1_refuse, "a", 0},
    {"POST", "/v1/models/a/versions/3:regress", v1_refuse, "a", 3},
    {"POST", "/v1/models/a:explain", v1_refuse, "a", 0},
    {"POST", "/v2/repository/models/a/load", v2_admin_load, "a", 0},
    {"POST", "/v2/repository/models/a/unload", v2_admin_unload, "a", 0},
};

static const struct {
    const char *method, *path;
    void (*handle)(struct exchange *exchange);
    const char *label;
} labelled[] = {
    {"GET", "/v2/models/a/versions/x", v2_meta_model, "x"},
    {"GET", "/v2/models/a/versions/stable-2.x/ready", v2_meta_model_ready, "stable-2.x"},
    {"POST", "/v2/models/a/versions/canary/infer", v2_infer, "canary"},
    {"GET", "/v2/models/a/versions/ready", v2_meta_model, "ready"},
};

START_TEST(a_label_may_stand_for_a_version)
{
    find(labelled[_i].method, labelled[_i].path);
    ck_assert_msg(found.route != NULL, "%s: %s", labelled[_i].path, found.err.text);
    ck_assert_ptr_eq(found.route->handle, labelled[_i].handle);
    ck_assert_str_eq(found.label, labelled[_i].label);
    ck_assert_int_eq(found.version, 0);
    arena_free(&arena);
}
END_TEST

START_TEST(paths_find_their_row)
{
    find(rows[_i].method, rows[_i].path);
    ck_assert_msg(found.route != NULL, "%s: %s", rows[_i].path, found.err.text);
    ck_assert_ptr_eq(found.route->handle, rows[_i].handle);
    ck_assert_str_eq(found.name, rows[_i].name);
    ck_assert_int_eq(found.version, rows[_i].version);
    ck_assert_str_eq(found.label, strstr(rows[_i].path, "/labels/") ? "best-1" : "");
    arena_free(&arena);
}
END_TEST

static const char *const nowhere[] = {
    "/x",
    "//",
    "/v2//",
    "/V2",
    "/v1",
    "/v1/models/a/versions/2/labels/b",
    "/v1/models/a/labels/b/versions/2",
    "/v1/models/a/labels",
    "/v1/models/a/labels/",
    "/v1/models/a/labels/b/c",
    "/v1/models/a:",
    "/v1/models/:predict",
    "/v1/models/a:b:predict",
    "/v1/models/a:predict/",
    "/v2/models/a:b",
    "/v2/health",
    "/v2/health/live/",
    "/v2/models//",
    "/v2/models/a/b",
    "/v2/models/a/versions",
    "/v2/models/a/versions/",
    "/v2/models/a/versions/_x",
    "/v2/models/a/versions/1x",
    "/v2/models/a/versions/1/2",
    "/v2/models/a/infer/",
    "/metrics/",
    "/v2/repository",
    "/v2/repository//models/a/load",
    "/v2/repository/a/b/index",
    "/v2/repository/models/a/load/x",
};

START_TEST(other_paths_find_nothing)
{
    find("GET", nowhere[_i]);
    ck_assert_ptr_null(found.route);
    ck_assert_ptr_null(found.allow);
    ck_assert_int_eq(found.err.code, 0);
}
END_TEST

START_TEST(other_methods_are_told_which_are_allowed)
{
    find("POST", "/v2");
    ck_assert_ptr_null(found.route);
    ck_assert_str_eq(found.allow, "GET, HEAD");
    find("GET", "/v2/models/a/infer");
    ck_assert_str_eq(found.allow, "POST");
    find("HEAD", "/v2/models/a/infer");
    ck_assert_str_eq(found.allow, "POST");
    find("OPTIONS", "/");
    ck_assert_str_eq(found.allow, "GET, HEAD");
    find("GET", "/v1/models/a:predict");
    ck_assert_str_eq(found.allow, "POST");
    find("POST", "/v1/models/a");
    ck_assert_str_eq(found.allow, "GET, HEAD");
    find("get", "/");
    ck_assert_str_eq(found.allow, "GET, HEAD");
}
END_TEST

START_TEST(bad_names_and_versions_have_sentences)
{
    find("GET", "/v2/models/..");
    ck_assert_int_eq(found.err.code, ERR_INVALID);
    ck_assert_ptr_null(found.route);
    find("POST", "/v2/models/a b/infer");
    ck_assert_int_eq(found.err.code, ERR_INVALID);
    find("GET", "/v2/models/a/versions/0");
    ck_assert_int_eq(found.err.code, ERR_NOT_FOUND);
    ck_assert_str_eq(found.err.text, "Request for unknown model: 'a' version 0 is not found");
    find("POST", "/v2/models/a/versions/99999999999999999999/infer");
    ck_assert_str_eq(found.err.text, "Request for unknown model: 'a' version 99999999999999999999 is not found");
    arena_free(&arena);
}
END_TEST

START_TEST(only_health_and_the_page_are_open_and_only_the_repository_changes_the_server)
{
    find("GET", "/v2/health/live");
    ck_assert_uint_eq(found.route->flags, ROUTE_VITAL);
    ck_assert_uint_eq(found.route->scope, KEYS_NONE);
    find("GET", "/v2/health/ready");
    ck_assert_uint_eq(found.route->flags, ROUTE_VITAL);
    ck_assert_uint_eq(found.route->scope, KEYS_NONE);
    find("GET", "/");
    ck_assert_uint_eq(found.route->scope, KEYS_NONE);
    find("GET", "/page/page.css");
    ck_assert_uint_eq(found.route->scope, KEYS_NONE);
    ck_assert_str_eq(found.item, "page.css");
    find("GET", "/metrics");
    ck_assert_uint_eq(found.route->flags, ROUTE_VITAL);
    ck_assert_uint_eq(found.route->scope, KEYS_READ);
    find("GET", "/v2/models");
    ck_assert_uint_eq(found.route->flags, ROUTE_PLAIN);
    find("POST", "/v2/models/a/infer");
    ck_assert_uint_eq(found.route->flags, ROUTE_CODED);
    ck_assert_uint_eq(found.route->scope, KEYS_INFER);
    find("POST", "/v2/logging");
    ck_assert_uint_eq(found.route->flags, ROUTE_ADMIN);
    find("POST", "/v2/repository/models/a/unload");
    ck_assert_uint_eq(found.route->flags, ROUTE_ADMIN);
    arena_free(&arena);
}
END_TEST

static void count_line(void *user, const char *text)
{
    int *n = user;
    ck_assert(strncmp(text, "GET /", 5) == 0 || strncmp(text, "POST /", 6) == 0 || strncmp(text, "PUT /", 5) == 0 ||
              strncmp(text, "DELETE /", 8) == 0);
    if (strcmp(text, "POST /v2/models/NAME[/versions/N]/infer") == 0)
        *n += 100;
    ++*n;
}

START_TEST(the_list_has_a_line_per_row)
{
    int n = 0;
    routes_print(count_line, &n);
    ck_assert_int_ge(n, 111);
}
END_TEST

Suite *http_routes_suite(void)
{
    Suite *suite = suite_create("http/routes");
    TCase *tcase = tcase_create("routes");
    tcase_add_loop_test(tcase, paths_find_their_row, 0, sizeof rows / sizeof rows[0]);
    tcase_add_loop_test(tcase, a_label_may_stand_for_a_version, 0, sizeof labelled / sizeof labelled[0]);
    tcase_add_loop_test(tcase, other_paths_find_nothing, 0, sizeof nowhere / sizeof nowhere[0]);
    tcase_add_test(tcase, other_methods_are_told_which_are_allowed);
    tcase_add_test(tcase, bad_names_and_versions_have_sentences);
    tcase_add_test(tcase, only_health_and_the_page_are_open_and_only_the_repository_changes_the_server);
    tcase_add_test(tcase, the_list_has_a_line_per_row);
    suite_add_tcase(suite, tcase);
    return suite;
}
