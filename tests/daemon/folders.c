/*
 * folders.c - a folder in which most models are broken, each in its own way, or have odd names or
 * lie behind links: the good ones are served, readiness names the others with the reason of each in
 * one sentence.
 */
#include "rig.h"
#include "samples.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "graph/proto.h"

static void make_folder(const struct rig *rig, const char *name)
{
    free(rig_shell(NULL, "mkdir -p %s/models/%s", rig->folder, name));
}

static void write_model(const struct rig *rig, const char *name, struct proto graph)
{
    char path[96];
    struct proto model = proto_model(graph, 13);
    make_folder(rig, name);
    snprintf(path, sizeof path, "models/%s/model.onnx", name);
    rig_write(rig, path, model.at, model.n);
    proto_free(&model);
}

static struct proto two_nodes(struct proto a, struct proto b)
{
    const int64_t dims[] = {-1, 2};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, a);
    proto_add(&graph, GRAPH_NODE, b);
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, dims));
    return graph;
}

/* A copy of a shipped model, its manifest changed by sed. */
static void write_changed(const struct rig *rig, const char *name, const char *from, const char *script)
{
    make_folder(rig, name);
    free(rig_shell(NULL, "cp -r models/%s/. %s/models/%s && sed -i '%s' %s/models/%s/manifest.json", from, rig->folder,
                   name, script, rig->folder, name));
}

/* What a clone without Git LFS has instead of a model, its manifest, its vocabulary, its weights.
 */
static void write_pointers(const struct rig *rig)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n"
                                  "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daa\nsize 9\n";
    const int64_t dims[] = {-1, 2}, two[] = {2};
    write_changed(rig, "lfs-model", "spam", "");
    write_changed(rig, "lfs-manifest", "spam", "");
    write_changed(rig, "lfs-text", "spam", "");
    rig_write(rig, "models/lfs-model/model.onnx", pointer, sizeof pointer - 1);
    rig_write(rig, "models/lfs-manifest/manifest.json", pointer, sizeof pointer - 1);
    rig_write(rig, "models/lfs-text/vocab.txt", pointer, sizeof pointer - 1);
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "add", "x,w", "y"));
    proto_add(&graph, GRAPH_INITIALIZER, proto_external("w", PERCEPT_FLOAT, 1, two, "w.bin", "0", "8"));
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, dims));
    write_model(rig, "lfs-data", graph);
    rig_write(rig, "models/lfs-data/w.bin", pointer, sizeof pointer - 1);
}

static void write_models(const struct rig *rig)
{
    const char *at = rig->folder;
    write_changed(rig, "good", "names", "");
    write_model(
        rig, "cyclic",
        two_nodes(proto_node("Add", "first", "x,back", "middle"), proto_node("Relu", "second", "middle", "back,y")));
    write_model(rig, "loop", two_nodes(proto_node("Add", "snake", "x,a", "a"), proto_node("Relu", "last", "a", "y")));
    write_model(rig, "unknown",
                two_nodes(proto_node("Frobnicate", "odd", "x", "a"), proto_node("Relu", "last", "a", "y")));
    write_changed(rig, "sise", "digits", "s/\"size\"/\"sise\"/");
    write_changed(rig, "type", "digits", "s/\"max_batch_size\": 32/\"max_batch_size\": \"32\"/");
    write_changed(rig, "json", "digits", "s/\"labels\"/labels/");
    write_changed(rig, "wordless", "spam", "");
    free(rig_shell(NULL, "rm %s/models/wordless/vocab.txt", at));
    make_folder(rig, "cut");
    make_folder(rig, "empty");
    make_folder(rig, "foreign");
    free(rig_shell(NULL, "head -c 100000 models/digits/model.onnx > %s/models/cut/model.onnx", at));
    rig_write(rig, "models/empty/model.onnx", "", 0);
    write_pointers(rig);
    uint8_t pixels[SAMPLES_PIXELS] = {0};
    struct blob png = samples_png(pixels, SAMPLES_SIDE, SAMPLES_SIDE);
    rig_write(rig, "models/foreign/model.onnx", png.at, png.n);
}

static const struct {
    const char *name;
    const char *words[3]; /* of the reason */
} failures[] = {
    {"cut", {"cut"}},
    {"empty", {"empty/model.onnx: the file is empty"}},
    {"foreign", {"no ONNX model but a PNG picture"}},
    {"lfs-model", {"Git LFS pointer", "git lfs pull"}},
    {"lfs-manifest", {"manifest.json", "git lfs pull"}},
    {"lfs-text", {"vocab.txt", "git lfs pull"}},
    {"lfs-data", {"w.bin", "git lfs pull"}},
    {"cyclic", {"cycle", "first"}},
    {"loop", {"cycle", "snake"}},
    {"unknown", {"Frobnicate", "--operators"}},
    {"sise", {"inputs.image.sise"}},
    {"type", {"batching.max_batch_size"}},
    {"json", {"manifest.json"}},
    {"wordless", {"vocab.txt"}},
};

#define N_FAILURES (sizeof failures / sizeof failures[0])

static void expect_reasons(const struct reply *reply)
{
    json_t *body = json_loadb(reply->body, reply->n_bytes, JSON_REJECT_DUPLICATES, NULL);
    json_t *states = json_object_get(body, "models"), *reasons = json_object_get(body, "reasons");
    ck_assert_msg(json_object_size(states) == N_FAILURES && json_object_size(reasons) == N_FAILURES, "%zu failed: %s",
                  N_FAILURES, reply->body);
    for (size_t i = 0; i < N_FAILURES; i++) {
        const char *name = failures[i].name;
        const char *state = json_string_value(json_object_get(states, name));
        const char *why = json_string_value(json_object_get(reasons, name));
        ck_assert_msg(state && strcmp(state, "UNAVAILABLE") == 0, "%s is %s", name, state ? state : "not named");
        ck_assert_msg(why && strlen(why) > 10 && strlen(why) < 500 && !strchr(why, '\n'), "%s: no sentence: %s", name,
                      why ? why : "nothing");
        ck_assert_msg(strstr(why, "/tmp/") == NULL, "%s: a path of this host: %s", name, why);
        for (size_t k = 0; k < sizeof failures[i].words / sizeof failures[i].words[0]; k++)
            ck_assert_msg(!failures[i].words[k] || strcasestr(why, failures[i].words[k]) != NULL,
                          "%s: no word of '%s': %s", name, failures[i].words[k], why);
        if (getenv("PERCEPTD_TEST_SHOW"))
            printf("     %-10s %s\n", name, why);
    }
    json_decref(body);
}

static void expect_readiness(const struct rig *rig, int status)
{
    struct reply reply = rig_get(rig, "/v2/health/ready");
    ck_assert_msg(reply.status == status, "readiness is %d: %s", reply.status, reply.body);
    expect_reasons(&reply);
    reply_free(&reply);
}

static void expect_served(const struct rig *rig)
{
    struct reply reply = rig_post_text(rig, "/v2/models/good/infer", "Nguyen");
    char label[64];
    ck_assert_msg(strcmp(reply_label(&reply, 0, label, sizeof label), "Vietnamese") == 0,
                  "the good model answers %d: %s", reply.status, reply.body);
    reply_free(&reply);
    reply = rig_post_text(rig, "/v2/models/unknown/infer", "Nguyen");
    ck_assert_msg((reply.status == 503 || reply.status == 404) && strstr(reply.body, "unknown"),
                  "the broken model answers %d: %s", reply.status, reply.body);
    reply_free(&reply);
}

START_TEST(broken_models_are_named_and_the_good_one_is_served)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_models(&rig);
    rig_start(&rig, "%s/models", rig.folder);
    expect_readiness(&rig, 200);
    expect_served(&rig);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(strict_readiness_is_503_and_says_why)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_models(&rig);
    rig_spawn(&rig, "%s/models --strict-readiness", rig.folder);
    rig_listening(&rig);
    expect_readiness(&rig, 503);
    expect_served(&rig);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(a_folder_of_broken_models_alone_ends_the_program)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    make_folder(&rig, "empty");
    rig_write(&rig, "models/empty/model.onnx", "", 0);
    rig_spawn(&rig, "%s/models", rig.folder);
    ck_assert_int_eq(rig_wait(&rig), 1);
    ck_assert(rig_log_has(&rig, "no model could be loaded"));
    rig_end(&rig);
}
END_TEST

/* A model that is fine, under whatever name. */
static void write_good(const struct rig *rig, const char *name)
{
    free(rig_shell(NULL, "d=%s/models/'%s'; mkdir -p \"${d%%/*}\" && cp models/names/model.onnx \"$d\"", rig->folder,
                   name));
}

static const struct {
    const char *name, *words;
} odd[] = {
    {"best (1).onnx", "cannot be a model's name"},
    {"caf\xc3\xa9.onnx", "cannot be a model's name"},
    {"names.onnx", "two models are called 'names' version 1: 'names/model.onnx' is served"},
    {"two/", "none is called model.onnx"},
    {"torch/", "torch.onnx.export"},
    {"empty/", "it is empty"},
    {"gone.onnx", "leads nowhere"},
    {"round/", "a link back"},
    {"ver/0/", "versions count from 1"},
    {"ver/latest/", "is called like a version"},
};

#define N_ODD (sizeof odd / sizeof odd[0])

static void write_odd(const struct rig *rig)
{
    static const char *const good[] = {
        "names/model.onnx",  "names.onnx",       "best (1).onnx",         "caf\xc3\xa9.onnx",
        "two/a.onnx",        "two/b.onnx",       "net/resnet.onnx",       "UPPER.ONNX",
        "ver/v1/model.onnx", "ver/2/model.onnx", "ver/latest/model.onnx", "ver/0/model.onnx"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        write_good(rig, good[i]);
    free(rig_shell(NULL,
                   "cd %s/models && mkdir empty torch pipe && echo x > torch/net.pt && "
                   "ln -s nowhere gone.onnx && ln -s . round && mkfifo pipe/model.onnx",
                   rig->folder));
}

static void expect_odd_reasons(const struct rig *rig, int status, int n_starts)
{
    struct reply reply = rig_get(rig, "/v2/health/ready");
    ck_assert_int_eq(reply.status, status);
    json_t *body = json_loadb(reply.body, reply.n_bytes, JSON_REJECT_DUPLICATES, NULL);
    json_t *reasons = json_object_get(body, "reasons");
    ck_assert_msg(json_object_size(reasons) == N_ODD + 1, "%s", reply.body); /* and the pipe */
    for (size_t i = 0; i < N_ODD; i++) {
        const char *why = json_string_value(json_object_get(reasons, odd[i].name));
        ck_assert_msg(why && strstr(why, odd[i].words), "%s: %s", odd[i].name, why ? why : "not named");
        ck_assert_msg(!strstr(why, "/tmp/"), "%s: a path of this host: %s", odd[i].name, why);
        char *lines = rig_shell(NULL, "grep -cF 'left out  name=\"%s\"' %s || true", odd[i].name, rig->log);
        char *plain = rig_shell(NULL, "grep -cF 'left out  name=%s ' %s || true", odd[i].name, rig->log);
        ck_assert_msg(atoi(lines) + atoi(plain) == n_starts, "%s: warned %d times", odd[i].name,
                      atoi(lines) + atoi(plain));
        free(lines);
        free(plain);
    }
    const char *pipe = json_string_value(json_object_get(reasons, "pipe"));
    ck_assert_msg(pipe && strstr(pipe, "device, pipe or socket"), "%s", reply.body);
    json_decref(body);
    reply_free(&reply);
}

START_TEST(odd_names_are_left_out_and_the_others_are_served)
{
    static const char *const served[] = {"names", "net", "UPPER", "ver/versions/1", "ver/versions/2"};
    struct rig rig;
    char path[80];
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_odd(&rig);
    rig_start(&rig, "%s/models", rig.folder);
    expect_odd_reasons(&rig, 200, 1);
    for (size_t i = 0; i < sizeof served / sizeof *served; i++) {
        snprintf(path, sizeof path, "/v2/models/%s/ready", served[i]);
        struct reply reply = rig_get(&rig, path);
        ck_assert_msg(reply.status == 200, "%s: %s", served[i], reply.body);
        reply_free(&reply);
    }
    struct reply told = rig_get(&rig, "/v2/health/ready"); /* which the page shows */
    ck_assert_msg(strstr(told.body, "\"best (1).onnx\":\""), "%s", told.body);
    reply_free(&told);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_spawn(&rig, "%s/models --strict-readiness", rig.folder);
    rig_listening(&rig);
    expect_odd_reasons(&rig, 503, 2);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(odd_names_on_the_command_line_leave_the_others)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_good(&rig, "good.onnx");
    write_good(&rig, "a=b.onnx");
    free(rig_shell(NULL, "mkdir %s/empty", rig.folder));
    const char *at = rig.folder;
    rig_start(&rig, "%s/models/a=b.onnx %s/empty %s/models/good.onnx %s/models/good.onnx", at, at, at, at);
    struct reply reply = rig_get(&rig, "/v2/models/good/ready");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    reply = rig_get(&rig, "/v2/health/ready");
    ck_assert_msg(strstr(reply.body, "\"a=b.onnx\":\"'a=b' cannot be") && strstr(reply.body, "\"empty/\":") &&
                      strstr(reply.body, "\"good.onnx\":\"it is named twice"),
                  "%s", reply.body);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_spawn(&rig, "%s/models/a=b.onnx %s/empty", at, at); /* nothing is left */
    ck_assert_int_eq(rig_wait(&rig), 1);
    ck_assert(rig_log_has(&rig, "cannot be a model's name"));
    rig_end(&rig);
}
END_TEST

/* A cache of links: model, data and labels lie in a folder of blobs; a volume that is swapped by a
 * link. */
START_TEST(models_behind_links_are_served_with_their_texts)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    free(rig_shell(NULL,
                   "d=%s; mkdir -p $d/blobs $d/models/cached $d/models/..v1 $d/store && "
                   "for f in $(ls models/names); do cp models/names/$f $d/blobs/b-$f; "
                   "ln -s ../../blobs/b-$f $d/models/cached/$f; done && "
                   "cp -r models/names $d/models/..v1/volume && ln -s ..v1 $d/models/..data && "
                   "ln -s ..data/volume $d/models/volume && cp -r models/names $d/store/x && "
                   "ln -s ../store/x $d/models/linked && "
                   "cp -r models/names $d/models/out && mv $d/models/out/vocab.txt $d/secret && "
                   "ln -s ../../secret $d/models/out/vocab.txt",
                   rig.folder));
    rig_start(&rig, "%s/models", rig.folder);
    static const char *const names[] = {"cached", "volume", "linked"};
    char path[64], label[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "/v2/models/%s/infer", names[i]);
        struct reply reply = rig_post_text(&rig, path, "Nguyen");
        ck_assert_msg(strcmp(reply_label(&reply, 0, label, sizeof label), "Vietnamese") == 0, "%s: %s", names[i],
                      reply.body);
        reply_free(&reply);
    }
    struct reply reply = rig_get(&rig, "/v2/health/ready");
    ck_assert_msg(strstr(reply.body, "leads out of the folder") != NULL, "%s", reply.body);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

/* Every line is JSON, and what is a number in it is one. */
START_TEST(numbers_in_the_log_are_numbers)
{
    static const char *const numbers[] = {"version", "ms",     "parameters", "region_bytes",
                                          "models",  "failed", "left_out",   "status"};
    struct rig rig;
    unsigned seen = 0;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_good(&rig, "good.onnx");
    write_good(&rig, "a=b.onnx");
    rig_write(&rig, "models/empty.onnx", "", 0);
    rig.port = rig_free_port();
    int port = rig.port;
    rig_spawn(&rig, "%s/models --log-format json --listen 127.0.0.1:%d", rig.folder, port);
    rig.port = port;
    rig_ready(&rig);
    struct reply reply = rig_get(&rig, "/v2/models/nope");
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    char *log = rig_shell(NULL, "cat %s", rig.log), *rest;
    for (char *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_msg(json_is_object(object), "%s", line);
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            json_t *value = json_object_get(object, numbers[i]);
            ck_assert_msg(!value || json_is_number(value), "%s: %s", numbers[i], line);
            seen |= value ? 1u << i : 0;
        }
        json_decref(object);
    }
    ck_assert_msg(seen == (1u << sizeof numbers / sizeof *numbers) - 1, "not all are there: %x", seen);
    free(log);
    rig_end(&rig);
}
END_TEST

Suite *daemon_folders_suite(void);

Suite *daemon_folders_suite(void)
{
    Suite *suite = suite_create("daemon_folders");
    TCase *tests = tcase_create("folders");
    tcase_add_test(tests, broken_models_are_named_and_the_good_one_is_served);
    tcase_add_test(tests, strict_readiness_is_503_and_says_why);
    tcase_add_test(tests, a_folder_of_broken_models_alone_ends_the_program);
    tcase_add_test(tests, odd_names_are_left_out_and_the_others_are_served);
    tcase_add_test(tests, odd_names_on_the_command_line_leave_the_others);
    tcase_add_test(tests, numbers_in_the_log_are_numbers);
    tcase_add_test(tests, models_behind_links_are_served_with_their_texts);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
