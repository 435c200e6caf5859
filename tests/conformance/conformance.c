/*
 * conformance.c - runs folders of the ONNX backend-test form: SUITE/TEST/model.onnx with
 * test_data_set_*\/input_*.pb and output_*.pb. Each test runs in a child process of its own, so that a
 * crash or an endless loop is one failed test.
 *
 *     conformance ROOT [PASSING-LIST]
 *
 * A suite may also hold whole architectures, NAME.onnx with NAME_output_0.pb: their sole input is
 * arange(n) / n, free dimensions 1.
 *
 * Prints every test that fails with its reason, the counts and the worst error of each suite, and closes
 * with "N passed, N failed, N skipped". PASSING-LIST names tests that must pass; it may only grow, so a
 * test of it that fails here makes the run fail whatever the counts say. CONFORMANCE_WRITE=1 rewrites it.
 *
 * Tolerance: |got - want| <= 1e-7 + 1e-3 |want|, what ONNX's own runner allows; NaN equals NaN; types,
 * shapes and everything that is no float must be equal.
 */
#include <dirent.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "graph/lone.h"
#include "percept.h"

#define LIMIT_MS 60000

struct verdict {
    bool passed;
    double worst; /* relative error |got - want| / max(|want|, 1e-4) */
    char why[400];
};

static bool fail(struct verdict *v, const char *what, const char *why)
{
    v->passed = false;
    snprintf(v->why, sizeof v->why, "%s%s%s", what, *what && *why ? ": " : "", why);
    return false;
}

static double element(const void *data, enum percept_dtype dtype, int64_t i)
{
    switch (dtype) {
    case PERCEPT_FLOAT:
        return ((const float *)data)[i];
    case PERCEPT_DOUBLE:
        return ((const double *)data)[i];
    case PERCEPT_FLOAT16:
        return tensor_half_to_float(((const uint16_t *)data)[i]);
    case PERCEPT_BFLOAT16:
        return tensor_bfloat_to_float(((const uint16_t *)data)[i]);
    default:
        return 0;
    }
}

static bool is_floating(enum percept_dtype dtype)
{
    return dtype == PERCEPT_FLOAT || dtype == PERCEPT_DOUBLE || dtype == PERCEPT_FLOAT16 || dtype == PERCEPT_BFLOAT16;
}

static bool same_strings(const struct percept_string *a, const struct percept_string *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (a[i].n_bytes != b[i].n_bytes || memcmp(a[i].at, b[i].at, a[i].n_bytes) != 0)
            return false;
    return true;
}

static bool compare(const struct percept_tensor *got, const struct tensor *want, const char *name, struct verdict *v)
{
    char text[300], shape_got[128], shape_want[128];
    struct tensor view = {.dtype = got->dtype};
    tensor_set_dims(&view, got->rank, got->dims);
    tensor_shape_text(view.rank, view.dims, shape_got, sizeof shape_got);
    tensor_shape_text(want->rank, want->dims, shape_want, sizeof shape_want);
    if (got->dtype != want->dtype || !tensor_same_dims(&view, want)) {
        snprintf(text, sizeof text, "got %s %s, expected %s %s", percept_dtype_name(got->dtype), shape_got,
                 percept_dtype_name(want->dtype), shape_want);
        return fail(v, name, text);
    }
    int64_t n = tensor_elements(want);
    if (want->dtype == PERCEPT_STRING)
        return same_strings(got->data, want->data, n) || fail(v, name, "strings differ");
    if (!is_floating(want->dtype)) {
        size_t n_bytes = (size_t)n * percept_dtype_bytes(want->dtype);
        return n_bytes == 0 || memcmp(got->data, want->data, n_bytes) == 0 || fail(v, name, "integers differ");
    }
    for (int64_t i = 0; i < n; i++) {
        double g = element(got->data, want->dtype, i), w = element(want->data, want->dtype, i);
        if ((isnan(g) && isnan(w)) || g == w)
            continue;
        double difference = fabs(g - w);
        if (!(difference <= 1e-7 + 1e-3 * fabs(w))) {
            snprintf(text, sizeof text, "element %lld is %.9g, expected %.9g", (long long)i, g, w);
            return fail(v, name, text);
        }
        double relative = difference / fmax(fabs(w), 1e-4);
        if (relative > v->worst)
            v->worst = relative;
    }
    return true;
}

static bool read_tensor(struct arena *arena, const char *path, struct tensor *tensor, struct verdict *v)
{
    struct percept_err err = {0};
    struct bytes file, name;
    if (!file_read(path, 0, &file, NULL, &err) || !lone_read(file, arena, tensor, &name, &err))
        return fail(v, path, err.text);
    return true;
}

static bool run_set(struct percept_model *model, const char *folder, struct verdict *v)
{
    struct percept_err err = {0};
    struct arena arena = {0};
    struct percept_session *session = percept_session_new(model, &err);
    if (!session)
        return fail(v, "session", err.text);
    int n_in, n_out;
    const struct percept_io *inputs = percept_inputs(model, &n_in);
    const struct percept_io *outputs = percept_outputs(model, &n_out);
    struct tensor *in = arena_array(&arena, (size_t)n_in + 1, sizeof *in);
    for (int i = 0; i < n_in; i++) {
        const char *path = arena_printf(&arena, "%s/input_%d.pb", folder, i);
        if (!read_tensor(&arena, path, &in[i], v))
            return false;
        if (in[i].dtype != inputs[i].dtype)
            return fail(v, inputs[i].name, "the input's type is not the model's");
        if (!percept_resize(session, i, in[i].rank, in[i].dims, &err))
            return fail(v, "shape", err.text);
    }
    if (!percept_prepare(session, &err))
        return fail(v, "plan", err.text);
    for (int i = 0; i < n_in; i++) {
        size_t n_bytes = (size_t)tensor_elements(&in[i]) * percept_dtype_bytes(in[i].dtype);
        if (n_bytes)
            memcpy(percept_input(session, i), in[i].data, n_bytes);
    }
    if (!percept_run(session, NULL, &err))
        return fail(v, "run", err.text);
    for (int i = 0; i < n_out; i++) {
        struct tensor want;
        const char *path = arena_printf(&arena, "%s/output_%d.pb", folder, i);
        if (!file_exists(path)) /* the tests leave out what an optional output would be */
            continue;
        struct percept_tensor got = percept_output(session, i);
        if (!read_tensor(&arena, path, &want, v) || !compare(&got, &want, outputs[i].name, v))
            return false;
    }
    percept_session_free(session);
    arena_free(&arena);
    return true;
}

/* NAME_output_0.pb beside NAME.onnx */
static char *expected_of(struct arena *arena, const char *path)
{
    return arena_printf(arena, "%.*s_output_0.pb", (int)(strlen(path) - 5), path);
}

static bool is_test(struct arena *arena, const char *path)
{
    size_t n = strlen(path);
    if (n > 5 && strcmp(path + n - 5, ".onnx") == 0)
        return file_exists(expected_of(arena, path));
    return file_exists(arena_printf(arena, "%s/model.onnx", path));
}

/* The input of a whole architecture: arange(n) / n. */
static bool run_architecture(struct percept_model *model, const char *expected, struct verdict *v)
{
    struct percept_err err = {0};
    struct arena arena = {0};
    struct percept_session *session = percept_session_new(model, &err);
    int n_in;
    const struct percept_io *input = percept_inputs(model, &n_in);
    int64_t dims[PERCEPT_RANK_MAX], n = 1;
    for (int d = 0; d < input->rank; d++) {
        dims[d] = input->dims[d] < 0 ? 1 : input->dims[d];
        n *= dims[d];
    }
    if (!session || n_in != 1 || !percept_resize(session, 0, input->rank, dims, &err) ||
        !percept_prepare(session, &err))
        return fail(v, "plan", err.text);
    float *data = percept_input(session, 0);
    for (int64_t i = 0; i < n; i++)
        data[i] = (float)i / (float)n;
    if (!percept_run(session, NULL, &err))
        return fail(v, "run", err.text);
    struct tensor want;
    struct percept_tensor got = percept_output(session, 0);
    bool good = read_tensor(&arena, expected, &want, v) && compare(&got, &want, "output 0", v);
    percept_session_free(session);
    arena_free(&arena);
    return good;
}

static struct verdict run_test(const char *folder)
{
    struct verdict v = {.passed = true};
    struct percept_err err = {0};
    struct arena arena = {0};
    struct percept_options options = {
        .size = sizeof options, .level = getenv("PERCEPTD_KERNELS"), .region = PERCEPT_REGION_PRIVATE};
    bool whole = !file_is_folder(folder);
    struct percept_model *model =
        percept_open(whole ? folder : arena_printf(&arena, "%s/model.onnx", folder), &options, &err);
    if (!model) {
        const char *sentence = strstr(err.text, ".onnx: ");
        fail(&v, "", sentence ? sentence + 7 : err.text);
        return v;
    }
    if (whole) {
        run_architecture(model, expected_of(&arena, folder), &v);
        percept_close(model);
        arena_free(&arena);
        return v;
    }
    char **names;
    int n = file_list(&arena, folder, &names, &err), sets = 0;
    for (int i = 0; i < n && v.passed; i++)
        if (strncmp(names[i], "test_data_set_", 14) == 0) {
            run_set(model, file_join(&arena, folder, names[i]), &v);
            sets++;
        }
    if (v.passed && sets == 0)
        fail(&v, "", "no test_data_set_* here");
    percept_close(model);
    arena_free(&arena);
    return v;
}

/* In a child of its own: what it writes into the pipe is the verdict. */
static struct verdict run_one_by_one(const char *folder)
{
    struct verdict v = {.passed = false};
    int ends[2];
    if (pipe(ends) != 0)
        return v;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct verdict mine = run_test(folder);
        ssize_t wrote = write(ends[1], &mine, sizeof mine);
        _exit(wrote == (ssize_t)sizeof mine ? 0 : 1);
    }
    close(ends[1]);
    struct pollfd ready = {.fd = ends[0], .events = POLLIN};
    bool answered = poll(&ready, 1, LIMIT_MS) == 1 && read(ends[0], &v, sizeof v) == (ssize_t)sizeof v;
    if (!answered)
        kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    close(ends[0]);
    if (!answered)
        snprintf(v.why, sizeof v.why, "the process ended with %s %d", WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return v;
}

/* --- the list of tests that pass ---------------------------------------------------------------------------------- */

struct list {
    char **names;
    int n;
};

static struct list read_list(struct arena *arena, const char *path)
{
    struct list list = {0};
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file)
        return list;
    list.names = arena_array(arena, 20000, sizeof *list.names);
    char line[256];
    while (fgets(line, sizeof line, file) && list.n < 20000) {
        line[strcspn(line, "\n")] = '\0';
        if (*line && *line != '#')
            list.names[list.n++] = arena_text(arena, line, strlen(line));
    }
    fclose(file);
    return list;
}

static bool listed(const struct list *list, const char *name)
{
    for (int i = 0; i < list->n; i++)
        if (strcmp(list->names[i], name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: conformance ROOT [PASSING-LIST]\n");
        return 2;
    }
    struct arena arena = {0};
    struct percept_err err = {0};
    struct list must = read_list(&arena, argc > 2 ? argv[2] : NULL);
    const char *only = getenv("T");
    bool quiet = getenv("CONFORMANCE_QUIET") != NULL;
    FILE *write_to = getenv("CONFORMANCE_WRITE") && argc > 2 ? fopen(argv[2], "we") : NULL;
    char **suites;
    int n_suites = file_list(&arena, argv[1], &suites, &err);
    int passed = 0, failed = 0, lost = 0;
    for (int s = 0; s < n_suites; s++) {
        char *root = file_join(&arena, argv[1], suites[s]);
        char **tests;
        int n = file_is_folder(root) ? file_list(&arena, root, &tests, &err) : 0;
        int suite_passed = 0, suite_run = 0;
        double worst = 0;
        const char *worst_name = "";
        for (int t = 0; t < n; t++) {
            char *name = file_join(&arena, suites[s], tests[t]);
            if ((only && !strstr(name, only)) || !is_test(&arena, file_join(&arena, root, tests[t])))
                continue;
            struct verdict v = run_one_by_one(file_join(&arena, root, tests[t]));
            suite_run++;
            suite_passed += v.passed;
            if (v.passed && v.worst > worst) {
                worst = v.worst;
                worst_name = tests[t];
            }
            if (v.passed && write_to)
                fprintf(write_to, "%s\n", name);
            bool needed = !v.passed && listed(&must, name);
            lost += needed;
            if (!v.passed && (needed || !quiet))
                printf("%s %s: %s\n", needed ? "LOST" : "failed", name, v.why);
        }
        if (suite_run)
            printf("%s: %d of %d, worst relative error %.2g%s%s\n", suites[s], suite_passed, suite_run, worst,
                   *worst_name ? " in " : "", worst_name);
        passed += suite_passed;
        failed += suite_run - suite_passed;
    }
    if (write_to)
        fclose(write_to);
    if (lost)
        printf("%d tests of %s no longer pass\n", lost, argv[2]);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    arena_free(&arena);
    return lost || passed == 0 ? 1 : 0;
}
