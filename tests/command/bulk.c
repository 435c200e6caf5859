/* perceptd run on pictures, texts and folders: what is printed and written, what is left when it is run again, and what
 * does not end it. The models are those that come along. */
#include "program.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graph/proto.h"

#define DIGITS "models/digits"
#define SEVEN "tests/http/seven.png"
#define SPAM_TEXT "WINNER!! Call 09061701461 to claim your prize!"

static char file[1 << 16];
static size_t n_file;

static const char *content(const char *path)
{
    FILE *in = fopen(path, "rb");
    ck_assert_msg(in != NULL, "%s is missing", path);
    n_file = fread(file, 1, sizeof file - 1, in);
    file[n_file] = '\0';
    fclose(in);
    return file;
}

static void put_seven(const char *name)
{
    content(SEVEN);
    folder_put(name, file, n_file);
}

static bool there(const char *name)
{
    return access(folder_at(name), F_OK) == 0;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static struct program_result good(struct program_result result)
{
    ck_assert_msg(result.status == 0, "%d %s", result.status, result.text);
    return result;
}

static struct program_result says(struct program_result result, int status, const char *part)
{
    ck_assert_msg(result.status == status && strstr(result.text, part), "%d %s", result.status, result.text);
    return result;
}

START_TEST(what_a_file_means_is_printed)
{
    if (!program_there)
        return;
    folder_text("a.txt", SPAM_TEXT);
    ck_assert(begins(good(program_run("run " DIGITS " " SEVEN)).text, "7 0.99"));
    ck_assert(begins(good(program_run("run " DIGITS "/model.onnx " SEVEN)).text, "7 0.99"));
    ck_assert(begins(good(program_run("run models/spam %s/a.txt", folder_root)).text, "spam 0."));
    struct program_result json = good(program_run("run " DIGITS " " SEVEN " " SEVEN " --json"));
    const char *line = "{\"file\":\"" SEVEN "\",\"model_name\":\"digits\",";
    ck_assert(begins(json.text, line));
    const char *second = strchr(json.text, '\n') + 1;
    ck_assert(begins(second, line));
    ck_assert_str_eq(strchr(second, '\n'), "\n");
    struct program_result csv = good(program_run("run " DIGITS " " SEVEN " " SEVEN " --csv"));
    ck_assert(begins(csv.text, "file,item,label,index,score\r\n\"" SEVEN "\",0,7,7,0.99"));
    ck_assert_ptr_null(strstr(csv.text + 4, "file,"));
    folder_text("in.json", "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[-1,2]}]}");
    says(program_run("run %s/relu.onnx %s/in.json", folder_root, folder_root), 0, "\"data\":[0.0,2.0]");
}
END_TEST

START_TEST(people_get_predictions_without_what_they_are_made_of)
{
    if (!program_there)
        return;
    content(folder_at("relu.onnx"));
    folder_put("m/model.onnx", file, n_file);
    folder_text("m/manifest.json", "{\"manifest\":1,\"task\":{\"kind\":\"regress\",\"output\":\"y\"}}");
    folder_text("in.json", "{\"parameters\":{\"predictions\":true},"
                           "\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[-1,2]}]}");
    struct program_result lines = good(program_run("run %s/m %s/in.json", folder_root, folder_root));
    ck_assert_msg(strstr(lines.text, "\"outputs\":[],\"predictions\":["), "%s", lines.text);
    struct program_result json = good(program_run("run %s/m %s/in.json --json", folder_root, folder_root));
    ck_assert_msg(strstr(json.text, "\"data\":[0.0,2.0]") && strstr(json.text, "predictions"), "%s", json.text);
}
END_TEST

/* Each letter is followed by the next one, and c by a. */
static void put_writer(void)
{
    static const float next[3][3] = {{0, 9, 0}, {0, 0, 9}, {9, 0, 0}};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Gather", "", "next,ids", "scores"));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("next", PERCEPT_FLOAT, 2, (int64_t[]){3, 3}, next, sizeof next));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("ids", PERCEPT_INT64, 2, (int64_t[]){-1, 1}, "batch,"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("scores", PERCEPT_FLOAT, 3, (int64_t[]){-1, 1, 3}, "batch,,"));
    struct proto model = proto_model(graph, 13);
    folder_put("w/model.onnx", model.at, model.n);
    proto_free(&model);
    folder_text("w/manifest.json",
                "{\"manifest\":1,\"inputs\":{\"ids\":{\"kind\":\"text\",\"tokenizer\":\"characters\","
                "\"vocabulary\":[\"a\",\"b\",\"c\"],\"max_length\":9}},\"generate\":{\"input\":\"ids\","
                "\"output\":\"scores\",\"max_new_tokens\":4,\"temperature\":0}}");
}

START_TEST(a_text_goes_on)
{
    if (!program_there)
        return;
    put_writer();
    folder_text("a.txt", "a");
    folder_text("b.txt", "ab");
    folder_text("bad.txt", "x");
    folder_text("c.json", "{\"text_input\":\"b\",\"max_tokens\":2,\"num_beams\":3}");
    says(program_run("run %s/w %s/a.txt", folder_root, folder_root), 0, "bcab\n");
    struct program_result all =
        good(program_run("run %s/w %s/a.txt %s/b.txt %s/c.json", folder_root, folder_root, folder_root, folder_root));
    ck_assert_msg(strstr(all.text, "\n  bcab\n") && strstr(all.text, "\n  cabc\n") && strstr(all.text, "\n  ca\n"),
                  "%s", all.text);
    says(program_run("run %s/w %s/a.txt --json", folder_root, folder_root), 0,
         "\"model_name\":\"w\",\"text_output\":\"bcab\",\"finish_reason\":\"length\"}");
    good(program_run("run %s/w %s/c.json -o %s/out.txt", folder_root, folder_root, folder_root));
    ck_assert_str_eq(content(folder_at("out.txt")), "ca\n");
    says(program_run("run %s/w %s/a.txt --csv", folder_root, folder_root), 2,
         "results of model 'w' can be: .txt, .json");
    says(program_run("run %s/w %s/bad.txt", folder_root, folder_root), 1, "does not have 'x'");
    says(program_run("inspect %s/w", folder_root), 0,
         "makes texts\n  tokens go to 'ids', the next one is scored by 'scores'");
    says(program_run("inspect %s/w --json", folder_root), 0,
         "\"generate\": {\"input\": \"ids\", \"output\": \"scores\", \"encoder\": null}");
}
END_TEST

START_TEST(a_result_goes_where_its_name_says)
{
    if (!program_there)
        return;
    good(program_run("run " DIGITS " " SEVEN " -o %s/a.json", folder_root));
    ck_assert(begins(content(folder_at("a.json")), "{\"model_name\":\"digits\""));
    good(program_run("run " DIGITS " " SEVEN " -o %s/new/deep/a.csv", folder_root));
    ck_assert(begins(content(folder_at("new/deep/a.csv")), "item,label"));
    good(program_run("run " DIGITS " " SEVEN " --output=%s/made/", folder_root));
    ck_assert(begins(content(folder_at("made/seven.png.txt")), "7 0.99"));
    ck_assert(begins(good(program_run("run " DIGITS " " SEVEN " -o /dev/stdout --csv")).text, "item,label"));
    says(program_run("run " DIGITS " " SEVEN " -o %s/a.png", folder_root), 2, "digits' can be: .txt, .csv, .json");
    says(program_run("run " DIGITS " " SEVEN " -o %s/a", folder_root), 2, "can be: .txt");
    says(program_run("run %s/relu.onnx " SEVEN " --csv", folder_root), 2,
         "--csv: results of model 'relu' can be: .json");
    says(program_run("run " DIGITS " " SEVEN " --json --csv"), 2, "choose one");
    says(program_run("run " DIGITS " -o %s/a.json", folder_root), 2, "nothing to run the model on");
    says(program_run("run " DIGITS " " SEVEN " " SEVEN " -o %s/a.json", folder_root), 2, "need a folder");
}
END_TEST

START_TEST(nothing_is_written_over_what_it_was_made_of)
{
    if (!program_there)
        return;
    put_seven("a.png");
    ck_assert_int_eq(symlink("a.png", folder_at("b.json")), 0);
    says(program_run("run " DIGITS " %s/a.png -o %s/b.json", folder_root, folder_root), 1, "written over it");
    content(folder_at("a.png"));
    ck_assert_int_eq(memcmp(file, "\x89PNG", 4), 0);
}
END_TEST

START_TEST(two_results_never_have_one_name)
{
    if (!program_there)
        return;
    put_seven("a/x.png");
    put_seven("b/x.png");
    put_seven("b/y.png");
    for (int i = 0; i < 2; i++) {
        struct program_result result =
            says(program_run("run " DIGITS " %s/a/x.png %s/b -o %s/out", folder_root, folder_root, folder_root), 1,
                 "b/x.png: its result would have the name of another file's");
        ck_assert_ptr_nonnull(
            strstr(result.text, i ? "0 done, 2 were there, 1 failed" : "2 done, 0 were there, 1 failed"));
    }
}
END_TEST

START_TEST(results_of_a_folder_are_laid_out_alike)
{
    if (!program_there)
        return;
    put_seven("in/a.png");
    put_seven("in/sub/deep/b.png");
    put_seven("in/.hidden.png");
    put_seven("in/out/old.png"); /* is the folder of results */
    ck_assert_int_eq(symlink("..", folder_at("in/sub/up")), 0);
    ck_assert_int_eq(symlink("a.png", folder_at("in/link.png")), 0);
    ck_assert_int_eq(mkfifo(folder_at("in/pipe"), 0600), 0);
    says(program_run("run " DIGITS " %s/in -o %s/in/out", folder_root, folder_root), 0,
         "3 of 3 files: 3 done, 0 were there, 0 failed");
    ck_assert(there("in/out/a.png.txt") && there("in/out/sub/deep/b.png.txt") && there("in/out/link.png.txt"));
    ck_assert(!there("in/out/.hidden.png.txt") && !there("in/out/out"));
    says(program_run("run " DIGITS " %s/in -o %s/in/out", folder_root, folder_root), 0, "0 done, 3 were there");
    mkdir(folder_at("none"), 0700);
    says(program_run("run " DIGITS " %s/none -o %s/o", folder_root, folder_root), 0, "0 of 0 files");
}
END_TEST

START_TEST(what_cannot_be_read_leaves_the_others)
{
    if (!program_there)
        return;
    put_seven("in/a.png");
    put_seven("in/z.png");
    folder_text("in/m.png", "\x89PNG\r\n\x1a\n");
    folder_text("in/n.txt", "a text");
    folder_text("in/empty.png", "");
    struct program_result result =
        says(program_run("run " DIGITS " %s/in %s/gone.png --json", folder_root, folder_root), 1, "gone.png");
    static const char *const parts[] = {
        "m.png",          "n.txt: the body is no picture", "empty.png: the body is empty",
        "\"error\":\"",   "gone.png\",\"error\":",         "z.png\",\"model_name\"",
        "a.png\",\"model"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(result.text, parts[i]) != NULL, "%s: %s", parts[i], result.text);
    says(program_run("run " DIGITS " %s/in -o %s/out", folder_root, folder_root), 1, "2 done, 0 were there, 3 failed");
    ck_assert(there("out/z.png.txt") && !there("out/m.png.txt"));
    says(program_run("run " DIGITS " %s/gone", folder_root), 1, "gone");
    says(program_run("run " DIGITS " /dev/zero"), 1, "/dev/zero");
    says(program_run("run " DIGITS " " SEVEN " --max-body 1K"), 0, "7 0.9");
    says(program_run("run " DIGITS " " SEVEN " --max-pixels 10"), 1, SEVEN ": ");
    says(program_run("run %s/broken.onnx " SEVEN, folder_root), 1, "broken");
    says(program_run("run %s " SEVEN, folder_root), 1, "and one is needed");
    says(program_run("run " DIGITS " " SEVEN " >/dev/full"), 1, "cannot write to standard output");
}
END_TEST

START_TEST(names_may_hold_anything)
{
    static const char clear[] = "in/\x1b[2J\n\"x\",\xff.png";
    if (!program_there)
        return;
    put_seven(clear);
    char longest[300] = "in/";
    memset(longest + 3, 'n', 251);
    strcpy(longest + 254, ".txt"); /* 255 bytes, and no room for more behind it */
    put_seven(longest);
    struct program_result result = says(program_run("run " DIGITS " %s/in -o %s/out", folder_root, folder_root), 1,
                                        "1 done, 0 were there, 1 failed");
    ck_assert_ptr_null(strchr(result.text, '\x1b'));
    ck_assert(there("out/\x1b[2J\n\"x\",\xff.png.txt"));
    const char *options[] = {"", "--json"};
    for (int i = 0; i < 2; i++)
        ck_assert_ptr_null(strchr(good(program_run("run " DIGITS " %s/in %s", folder_root, options[i])).text, '\x1b'));
    says(program_run("run " DIGITS " %s/in --csv", folder_root), 0, "\"\"x\"\",");
}
END_TEST

/* Killed as soon as the first result is there, and run again: that one is not made anew, and nothing is missing. */
START_TEST(what_was_killed_goes_on)
{
    enum { N = 60 };
    char name[40], script[1500];
    if (!program_there)
        return;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "in/%02d.png", i);
        put_seven(name);
    }
    snprintf(script, sizeof script,
             "PERCEPTD_REGION_PREFIX=percept-test-%d %s run " DIGITS " %s/in -o %s/out 2>/dev/null & "
             "while ! ls %s/out/*.txt >/dev/null 2>&1 && kill -0 $!; do :; done; kill -9 $!; wait $! 2>/dev/null; true",
             getpid(), getenv("PERCEPTD_BINARY"), folder_root, folder_root, folder_root);
    ck_assert_int_eq(system(script), 0);
    ino_t before[N] = {0};
    struct stat state;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "out/%02d.png.txt", i);
        before[i] = stat(folder_at(name), &state) == 0 ? state.st_ino : 0;
    }
    good(program_run("run " DIGITS " %s/in -o %s/out", folder_root, folder_root));
    int n_before = 0;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "out/%02d.png.txt", i);
        ck_assert(begins(content(folder_at(name)), "7 0.99"));
        ck_assert_int_eq(stat(folder_at(name), &state), 0);
        ck_assert(!before[i] || state.st_ino == before[i]);
        n_before += before[i] != 0;
    }
    ck_assert_int_gt(n_before, 0);
}
END_TEST

START_TEST(many_files_keep_their_order)
{
    enum { N = 300 };
    char name[40];
    if (!program_there)
        return;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "in/%03d.txt", i);
        folder_text(name, i % 7 ? "hello" : SPAM_TEXT);
    }
    struct program_result result = good(program_run("run models/spam %s/in --workers 2", folder_root));
    const char *at = result.text;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "/in/%03d.txt\n  %s 0.", i, i % 7 ? "ham" : "spam");
        at = strstr(at, name);
        ck_assert_msg(at != NULL, "%s", name);
    }
}
END_TEST

Suite *command_bulk_suite(void);

Suite *command_bulk_suite(void)
{
    Suite *suite = suite_create("command_bulk");
    TCase *tests = tcase_create("bulk");
    tcase_add_checked_fixture(tests, program_begin, program_end);
    tcase_add_test(tests, what_a_file_means_is_printed);
    tcase_add_test(tests, people_get_predictions_without_what_they_are_made_of);
    tcase_add_test(tests, a_text_goes_on);
    tcase_add_test(tests, a_result_goes_where_its_name_says);
    tcase_add_test(tests, nothing_is_written_over_what_it_was_made_of);
    tcase_add_test(tests, two_results_never_have_one_name);
    tcase_add_test(tests, results_of_a_folder_are_laid_out_alike);
    tcase_add_test(tests, what_cannot_be_read_leaves_the_others);
    tcase_add_test(tests, names_may_hold_anything);
    tcase_add_test(tests, what_was_killed_goes_on);
    tcase_add_test(tests, many_files_keep_their_order);
    suite_add_tcase(suite, tests);
    return suite;
}
