/*
 * chains.c - served names that run others, stage by stage: ensembles as a repository of Triton has them, asked by
 * several clients at once; what is wrong with one is told when it is loaded; it is ready while all of its models are.
 *
 * The networks are written here: "sums" adds and subtracts, "same" gives back what it gets, "pairs" takes two numbers.
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"

#define IO(name, dims) "{ name: '" name "' data_type: TYPE_INT32 dims: [ " dims " ] }"
#define STEP(model, maps) "{ model_name: '" model "' model_version: -1 " maps " }"
#define IN(io, value) "input_map { key: '" io "' value: '" value "' } "
#define OUT(io, value) "output_map { key: '" io "' value: '" value "' } "
#define SUMS(a, b, sum, difference) STEP("sums", IN("A", a) IN("B", b) OUT("SUM", sum) OUT("DIFFERENCE", difference))
#define SAME(from, to) STEP("same", IN("x", from) OUT("y", to))
#define ENSEMBLE(inputs, outputs, steps)                                                                               \
    "platform: 'ensemble' max_batch_size: 8 input [ " inputs " ] output [ " outputs                                    \
    " ] ensemble_scheduling { step [ " steps " ] }"
#define SIMPLE                                                                                                         \
    ENSEMBLE(IO("A", "4") "," IO("B", "4"), IO("SUM", "4") "," IO("DIFFERENCE", "4"),                                  \
             SAME("s", "SUM") "," SUMS("A", "B", "s", "d") "," SAME("d", "DIFFERENCE"))

/* Wraps what `inner` does once more. */
#define AROUND(inner) ENSEMBLE(IO("x", "4"), IO("y", "4"), STEP(inner, IN("x", "x") OUT("y", "y")))
#define TWICE ENSEMBLE(IO("x", "4"), IO("y", "4"), SAME("x", "between") "," SAME("between", "y"))

static void write_chain(const struct rig *rig, const char *name, const char *config)
{
    char path[96];
    free(rig_shell(NULL, "mkdir -p %s/repo/%s", rig->folder, name));
    snprintf(path, sizeof path, "repo/%s/config.pbtxt", name);
    rig_write_text(rig, path, config);
}

static struct proto sums(void)
{
    struct proto graph = {0};
    const int64_t dims[] = {-1, 4};
    static const char *const names[] = {"A", "B", "SUM", "DIFFERENCE"};
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "A,B", "SUM"));
    proto_add(&graph, GRAPH_NODE, proto_node("Sub", "", "A,B", "DIFFERENCE"));
    for (int i = 0; i < 4; i++)
        proto_add(&graph, i < 2 ? GRAPH_INPUT : GRAPH_OUTPUT,
                  proto_value_named(names[i], PERCEPT_INT32, 2, dims, "batch,n"));
    return graph;
}

static struct proto same(int64_t width)
{
    struct proto graph = {0};
    const int64_t dims[] = {-1, width};
    proto_add(&graph, GRAPH_NODE, proto_node("Identity", "", "x", "y"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_INT32, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_INT32, 2, dims, "batch,n"));
    return graph;
}

static bool begin(struct rig *rig)
{
    if (!rig_is_there())
        return false;
    rig_begin(rig);
    rig_write_repository(rig, "sums", sums(), "max_batch_size: 8");
    rig_write_repository(rig, "same", same(4), "max_batch_size: 8");
    write_chain(rig, "simple", SIMPLE);
    return true;
}

static void expect_get(const struct rig *rig, const char *path, int status, const char *part)
{
    struct reply reply = rig_get(rig, path);
    ck_assert_msg(reply.status == status && strstr(reply.body, part), "%s gives %d: %s", path, reply.status,
                  reply.body);
    reply_free(&reply);
}

/* Posts, and finds the part in the reply; returns its head, to be freed. */
static char *expect_post(const struct rig *rig, const char *path, const char *more, const char *body, int status,
                         const char *part)
{
    struct reply reply = rig_ask(rig, "POST", path, more, body, strlen(body));
    ck_assert_msg(reply.status == status && strstr(reply.body, part), "%s gives %d: %s", path, reply.status,
                  reply.body);
    char *head = strdup(reply.head);
    reply_free(&reply);
    return head;
}

static void load(const struct rig *rig, const char *what, const char *name, int status, const char *part)
{
    char path[96];
    snprintf(path, sizeof path, "/v2/repository/models/%s/%s", name, what);
    free(expect_post(rig, path, "", "", status, part));
}

static void expect_ready(const struct rig *rig, const char *name, bool ready)
{
    char path[96];
    snprintf(path, sizeof path, "/v2/models/%s/ready", name);
    expect_get(rig, path, ready ? 200 : 503, ready ? "true" : "");
}

#define TENSOR(name, data) "{\"name\":\"" name "\",\"datatype\":\"INT32\",\"shape\":[1,4],\"data\":" data "}"
#define BOTH(a, b) "{\"inputs\":[" TENSOR("A", a) "," TENSOR("B", b) "]}"
#define ONE(x) "{\"inputs\":[" TENSOR("x", x) "]}"

START_TEST(an_ensemble_of_a_repository_is_a_chain)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    rig_start(&rig, "%s/repo", rig.folder);
    expect_get(&rig, "/v2/models/simple", 200,
               "\"platform\":\"ensemble\",\"inputs\":[{\"name\":\"A\",\"datatype\":\"INT32\",\"shape\":[-1,4]}");
    expect_get(&rig, "/v2/models/simple/config", 200,
               "\"ensemble_scheduling\":{\"step\":[{\"model_name\":\"same\",\"model_version\":-1,\"input_map\":{\"x\":"
               "\"s\"},\"output_map\":{\"y\":\"SUM\"},");
    char *head = expect_post(&rig, "/v2/models/simple/infer", "", BOTH("[1,2,3,4]", "[10,20,30,40]"), 200,
                             "{\"name\":\"SUM\",\"datatype\":\"INT32\",\"shape\":[1,4],\"data\":[11,22,33,44]},"
                             "{\"name\":\"DIFFERENCE\",\"datatype\":\"INT32\",\"shape\":[1,4],\"data\":[-9,-18,-27,-36]"
                             "}");
    ck_assert_ptr_nonnull(strstr(head, "stage2;desc=\"sums\";dur="));
    free(head);
    free(expect_post(
        &rig, "/v2/models/simple/infer", "",
        "{\"inputs\":[" TENSOR("A", "[1,1,1,1]") "," TENSOR("B",
                                                            "[1,1,1,1]") "],\"outputs\":[{\"name\":\"DIFFERENCE\"}]}",
        200, "\"outputs\":[{\"name\":\"DIFFERENCE\",\"datatype\":\"INT32\",\"shape\":[1,4],\"data\":[0,0,0,0]}]"));
    free(expect_post(&rig, "/v2/models/simple/infer", "", "{\"inputs\":[" TENSOR("A", "[1,1,1,1]") "]}", 400,
                     "expected 2 inputs but got 1"));
    free(expect_post(
        &rig, "/v2/models/simple/infer", "",
        "{\"parameters\":{\"sequence_id\":3},\"inputs\":[" TENSOR("A", "[1,1,1,1]") "," TENSOR("B", "[1,1,1,1]") "]}",
        400, "keeps nothing between requests"));
    rig_finish(&rig);
}
END_TEST

/* manifest.json: two stages that double, and classes of what comes out. */
START_TEST(a_manifest_may_say_stages_and_what_its_ends_mean)
{
    static const char manifest[] =
        "{\"manifest\":1,\"description\":\"two steps\",\"labels\":[\"dark\",\"light\",\"none\",\"more\"],"
        "\"stages\":[{\"model\":\"floats\",\"name\":\"first\",\"inputs\":{\"x\":\"words\"},\"outputs\":{\"y\":\"m\"}},"
        "{\"model\":\"floats\",\"version\":1,\"inputs\":{\"x\":\"m\"},\"outputs\":{\"y\":\"scores\"}}],"
        "\"task\":{\"kind\":\"classify\",\"output\":\"scores\",\"top_k\":1}}";
    struct rig rig;
    struct proto graph = {0};
    const int64_t dims[] = {1, 4};
    if (!begin(&rig))
        return;
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "x,x", "y"));
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, dims));
    rig_write_repository(&rig, "floats", graph, "");
    free(rig_shell(NULL, "mkdir -p %s/repo/said", rig.folder));
    rig_write_text(&rig, "repo/said/manifest.json", manifest);
    rig_start(&rig, "%s/repo", rig.folder);
    char *head =
        expect_post(&rig, "/v2/models/said/infer", "",
                    "{\"inputs\":[{\"name\":\"words\",\"datatype\":\"FP32\",\"shape\":[1,4],\"data\":[1,3,2,0]}],"
                    "\"parameters\":{\"predictions\":true}}",
                    200, "\"data\":[4.0,12.0,8.0,0.0]");
    ck_assert_ptr_nonnull(strstr(head, "stage1;desc=\"first\";dur="));
    ck_assert_ptr_nonnull(strstr(head, "stage2;desc=\"floats\";dur="));
    free(head);
    free(expect_post(&rig, "/v2/models/said/infer", "",
                     "{\"inputs\":[{\"name\":\"words\",\"datatype\":\"FP32\",\"shape\":[1,4],\"data\":[1,3,2,0]}],"
                     "\"parameters\":{\"predictions\":true}}",
                     200, "\"predictions\":[[{\"label\":\"light\",\"index\":1,\"score\":12.0}]]"));
    rig_finish(&rig);
}
END_TEST

/* --- callers ------------------------------------------------------------------------------------------------------ */

#define CALLERS 8

/* Each stage's model waits until as many are there as there are callers, so that all of them meet at every stage. */
START_TEST(steps_of_different_callers_share_a_batch)
{
    struct rig rig;
    struct rig_post posts[CALLERS];
    char bodies[CALLERS][400], wanted[CALLERS][80];
    if (!begin(&rig))
        return;
    rig_write_repository(&rig, "sums", sums(),
                         "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 60000000 }");
    write_chain(&rig, "half", ENSEMBLE(IO("A", "4") "," IO("B", "4"), IO("d", "4"), SUMS("A", "B", "s", "d")));
    rig_start(&rig, "%s/repo", rig.folder);
    for (int i = 0; i < CALLERS; i++) {
        snprintf(bodies[i], sizeof bodies[i], BOTH("[%d,0,0,0]", "[1,1,1,1]"), 10 * i);
        snprintf(wanted[i], sizeof wanted[i], "\"data\":[%d,-1,-1,-1]", 10 * i - 1);
        posts[i] = (struct rig_post){.path = i % 2 ? "/v2/models/simple/infer" : "/v2/models/half/infer",
                                     .type = "application/json",
                                     .body = bodies[i],
                                     .n_bytes = strlen(bodies[i])};
    }
    rig_crowd(&rig, CALLERS, posts, CALLERS);
    for (int i = 0; i < CALLERS; i++) {
        ck_assert_msg(posts[i].reply.status == 200 && strstr(posts[i].reply.body, wanted[i]), "%d: %s",
                      posts[i].reply.status, posts[i].reply.body);
    }
    expect_get(&rig, "/v2/models/sums/stats", 200, "\"inference_count\":8,\"execution_count\":1,");
    rig_finish(&rig);
}
END_TEST

START_TEST(a_deadline_between_steps_is_told_and_a_client_that_leaves_is_not_waited_for)
{
    struct rig rig;
    struct client client;
    if (!begin(&rig))
        return;
    rig_write_repository(&rig, "same", same(4),
                         "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 60000000 }");
    rig_start(&rig, "%s/repo", rig.folder);
    free(expect_post(&rig, "/v2/models/simple/infer", "X-Request-Timeout-Ms: 50\r\n", BOTH("[1,2,3,4]", "[1,1,1,1]"),
                     503, "stage 'same': Request timeout expired"));
    ck_assert(client_open(&client, rig.port));
    ck_assert(client_request(&client, "POST", "/v2/models/simple/infer", "", BOTH("[1,2,3,4]", "[1,1,1,1]"),
                             strlen(BOTH("[1,2,3,4]", "[1,1,1,1]"))));
    while (rig_metric(&rig, "perceptd_requests_in_flight") < 1)
        rig_pause(5);
    client_close(&client);
    while (rig_metric(&rig, "perceptd_requests_in_flight") > 0)
        rig_pause(5);
    rig_finish(&rig); /* drains at once: nothing waits for company any more */
}
END_TEST

/* --- what is wrong ------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name, *config, *why;
} wrong[] = {
    {"w-none", "platform: 'ensemble'", "platform is 'ensemble': ensemble_scheduling is missing"},
    {"w-bare", "ensemble_scheduling { step { model_name: 'same' } }", "an ensemble declares its 'input' and 'output'"},
    {"w-steps", "ensemble_scheduling { }", "ensemble_scheduling: it must have a 'step'"},
    {"w-nobody", ENSEMBLE(IO("x", "4"), IO("y", "4"), STEP("nobody", IN("x", "x") OUT("y", "y"))),
     "it needs model 'nobody', which is not served"},
    {"w-version",
     ENSEMBLE(IO("x", "4"), IO("y", "4"), "{ model_name: 'same' model_version: 7 " IN("x", "x") OUT("y", "y") "}"),
     "it needs model 'same' version 7, which is not served"},
    {"w-zero", ENSEMBLE(IO("x", "4"), IO("y", "4"), "{ model_name: 'same' model_version: 0 }"),
     "a version is at least 1, or -1 for the highest"},
    {"w-self", ENSEMBLE(IO("x", "4"), IO("y", "4"), STEP("w-self", IN("x", "x") OUT("y", "y"))),
     "model 'w-self' cannot need itself"},
    {"w-input", ENSEMBLE(IO("x", "4"), IO("y", "4"), STEP("same", IN("z", "x") OUT("y", "y"))),
     "stage 'same': model 'same' has no input 'z'"},
    {"w-output", ENSEMBLE(IO("x", "4"), IO("y", "4"), STEP("same", IN("x", "x") OUT("z", "y"))),
     "stage 'same': model 'same' has no output 'z'"},
    {"w-lacks", ENSEMBLE(IO("x", "4"), IO("y", "4"), STEP("sums", IN("A", "x") OUT("SUM", "y"))),
     "stage 'sums': nothing is given to input 'B' of model 'sums'"},
    {"w-twice", ENSEMBLE(IO("x", "4"), IO("y", "4"), SAME("x", "y") "," SAME("x", "y")),
     "'y' is made twice, by stage 'same' and by 'same'"},
    {"w-double", ENSEMBLE(IO("x", "4"), IO("y", "4"), STEP("same", IN("x", "x") IN("x", "x") OUT("y", "y"))),
     "stage 'same': input 'x' is given twice"},
    {"w-circle", ENSEMBLE(IO("x", "4"), IO("y", "4"), SUMS("x", "b", "a", "y") "," SAME("a", "b")),
     "which waits for it in turn: a circle"},
    {"w-own", ENSEMBLE(IO("x", "4"), IO("y", "4"), SUMS("x", "a", "a", "y")),
     "stage 'sums' needs 'a', which it makes itself: a circle"},
    {"w-unused", ENSEMBLE(IO("x", "4") "," IO("z", "4"), IO("y", "4"), SAME("x", "y")),
     "input 'z' is used by no stage"},
    {"w-unmade", ENSEMBLE(IO("x", "4"), IO("y", "4") "," IO("z", "4"), SAME("x", "y")),
     "output 'z' is made by no stage"},
    {"w-open", ENSEMBLE(IO("x", "4"), IO("y", "4"), SUMS("x", "z", "y", "rest")),
     "'z' is made by no stage, and no input of the chain"},
    {"w-dims", ENSEMBLE(IO("x", "5"), IO("y", "4"), SAME("x", "y")),
     "'x' is INT32 [-1,4] as 'x' of 'same', and INT32 [-1,5] as 'x' of 'w-dims'"},
    {"w-type", ENSEMBLE("{ name: 'x' data_type: TYPE_FP32 dims: [ 4 ] }", IO("y", "4"), SAME("x", "y")),
     "'x' is INT32 [-1,4] as 'x' of 'same', and FP32 [-1,4] as 'x' of 'w-type'"},
    {"w-untyped", ENSEMBLE("{ name: 'x' dims: [ 4 ] }", IO("y", "4"), SAME("x", "y")),
     "'x' has no data_type or no dims, which a chain declares"},
    {"w-batch",
     "max_batch_size: 9 input " IO("x", "4") " output " IO("y", "4") " ensemble_scheduling { step " SAME("x", "y") " }",
     "max_batch_size is 9, but model 'same' of its stages takes 8 at most"},
    {"w-between", ENSEMBLE(IO("x", "4"), IO("y", "2"), SAME("x", "m") "," STEP("pairs", IN("x", "m") OUT("y", "y"))),
     "'m' is INT32 [-1,4] as 'y' of 'same', and INT32 [-1,2] as 'x' of 'pairs'"},
};

START_TEST(what_is_wrong_with_a_chain_is_told_when_it_is_loaded)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    rig_write_repository(&rig, "pairs", same(2), "max_batch_size: 8");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_chain(&rig, wrong[i].name, wrong[i].config);
        free(rig_shell(NULL, "touch %s/repo/%s/ensemble_scheduling", rig.folder, wrong[i].name));
    }
    rig_start(&rig, "%s/repo", rig.folder);
    for (size_t i = 1; i < sizeof wrong / sizeof *wrong; i++) {
        char path[96];
        snprintf(path, sizeof path, "/v2/models/%s/ready", wrong[i].name);
        expect_get(&rig, path, 503, wrong[i].why);
    }
    expect_ready(&rig, "simple", true);
    rig_finish(&rig);
}
END_TEST

START_TEST(chains_of_chains_are_served_four_deep_and_never_in_circles)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    write_chain(&rig, "d1", TWICE);
    write_chain(&rig, "d2", AROUND("d1"));
    write_chain(&rig, "d3", AROUND("d2"));
    write_chain(&rig, "a4", AROUND("d3"));
    write_chain(&rig, "a5", AROUND("a4"));
    write_chain(&rig, "c1", AROUND("c2"));
    write_chain(&rig, "c2", AROUND("c3"));
    write_chain(&rig, "c3", AROUND("c1"));
    rig_start(&rig, "%s/repo", rig.folder);
    free(expect_post(&rig, "/v2/models/a4/infer", "", ONE("[5,6,7,8]"), 200,
                     "{\"name\":\"y\",\"datatype\":\"INT32\",\"shape\":[1,4],\"data\":[5,6,7,8]}"));
    expect_get(&rig, "/v2/models/a5/ready", 503,
               "its stage 'a4' is a chain 4 deep; chains of chains are served 4 deep");
    expect_get(&rig, "/v2/health/ready", 200, "a circle");
    for (int i = 1; i <= 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "c%d", i);
        expect_ready(&rig, name, false);
    }
    rig_finish(&rig);
}
END_TEST

/* --- parts that come and go --------------------------------------------------------------------------------------- */

START_TEST(a_chain_is_ready_while_all_of_its_models_are)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    write_chain(&rig, "outer",
                ENSEMBLE(IO("A", "4") "," IO("B", "4"), IO("S", "4"),
                         STEP("simple", IN("A", "A") IN("B", "B") OUT("SUM", "S"))));
    free(rig_shell(NULL, "mv %s/repo/same %s/", rig.folder, rig.folder));
    rig_start(&rig, "%s/repo --admin", rig.folder);
    expect_get(&rig, "/v2/models/outer/ready", 503, "it needs model 'simple', which failed to load");
    expect_get(&rig, "/v2/models/simple/ready", 503, "it needs model 'same', which is not served");
    free(rig_shell(NULL, "mv %s/same %s/repo/", rig.folder, rig.folder));
    load(&rig, "load", "same", 200, "");
    expect_ready(&rig, "simple", true);
    expect_ready(&rig, "outer", true);
    load(&rig, "unload", "same", 400, "is needed by 'simple'");
    load(&rig, "load", "same", 200, ""); /* another instance takes its place */
    free(expect_post(&rig, "/v2/models/outer/infer", "", BOTH("[1,2,3,4]", "[1,1,1,1]"), 200, "\"data\":[2,3,4,5]"));
    load(&rig, "unload", "outer", 200, "");
    load(&rig, "unload", "simple", 200, "");
    load(&rig, "unload", "same", 200, "");
    rig_finish(&rig);
}
END_TEST

START_TEST(a_part_that_takes_something_else_makes_the_chain_unready_until_it_fits)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    write_chain(&rig, "alone", ENSEMBLE(IO("x", "4"), IO("y", "4"), SAME("x", "y")));
    rig_start(&rig, "%s/repo --admin", rig.folder);
    expect_ready(&rig, "alone", true);
    rig_write_repository(&rig, "same", same(2), "max_batch_size: 8");
    load(&rig, "load", "same", 200, "");
    expect_ready(&rig, "alone", false);
    free(expect_post(&rig, "/v2/models/alone/infer", "", ONE("[1,2,3,4]"), 503, "is not at ready state"));
    rig_write_repository(&rig, "same", same(4), "max_batch_size: 8");
    load(&rig, "load", "same", 200, "");
    expect_ready(&rig, "alone", true);
    free(expect_post(&rig, "/v2/models/alone/infer", "", ONE("[1,2,3,4]"), 200, "\"data\":[1,2,3,4]"));
    rig_finish(&rig);
}
END_TEST

/* A request is caught between its stages; meanwhile its models are replaced, and then all go. */
START_TEST(a_request_keeps_the_models_that_it_began_with)
{
    struct rig rig;
    struct client client;
    if (!begin(&rig))
        return;
    rig_write_repository(&rig, "same", same(4),
                         "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 60000000 }");
    write_chain(&rig, "alone", ENSEMBLE(IO("x", "4"), IO("y", "4"), SAME("x", "m") "," SAME("m", "y")));
    rig_start(&rig, "%s/repo --admin", rig.folder);
    ck_assert(client_open(&client, rig.port));
    ck_assert(
        client_request(&client, "POST", "/v2/models/alone/infer", "", ONE("[1,2,3,4]"), strlen(ONE("[1,2,3,4]"))));
    while (rig_metric(&rig, "perceptd_requests_in_flight") < 1)
        rig_pause(5);
    rig_write_repository(&rig, "same", same(4), "max_batch_size: 8");
    load(&rig, "load", "same", 200, "");
    load(&rig, "unload", "alone", 200, "");
    load(&rig, "unload", "simple", 200, "");
    load(&rig, "unload", "same", 200, "");
    ck_assert_int_eq(rig_stop(&rig), 0); /* nobody waits for company any more */
    struct reply reply = client_reply(&client);
    ck_assert_msg(reply.status == 200 && strstr(reply.body, "\"data\":[1,2,3,4]"), "%d: %s", reply.status, reply.body);
    reply_free(&reply);
    client_close(&client);
    rig_end(&rig);
}
END_TEST

Suite *daemon_chains_suite(void);

Suite *daemon_chains_suite(void)
{
    Suite *suite = suite_create("daemon/chains");
    TCase *tests = tcase_create("chains");
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    tcase_add_test(tests, an_ensemble_of_a_repository_is_a_chain);
    tcase_add_test(tests, a_manifest_may_say_stages_and_what_its_ends_mean);
    tcase_add_test(tests, steps_of_different_callers_share_a_batch);
    tcase_add_test(tests, a_deadline_between_steps_is_told_and_a_client_that_leaves_is_not_waited_for);
    tcase_add_test(tests, what_is_wrong_with_a_chain_is_told_when_it_is_loaded);
    tcase_add_test(tests, chains_of_chains_are_served_four_deep_and_never_in_circles);
    tcase_add_test(tests, a_chain_is_ready_while_all_of_its_models_are);
    tcase_add_test(tests, a_part_that_takes_something_else_makes_the_chain_unready_until_it_fits);
    tcase_add_test(tests, a_request_keeps_the_models_that_it_began_with);
    suite_add_tcase(suite, tests);
    return suite;
}
