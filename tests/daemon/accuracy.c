/*
 * accuracy.c - through the whole daemon the shipped models are as good as their manifests say, and
 * a crowd of clients gets, each its own, the very bits that `perceptd run` computes alone.
 *
 * Digits and texts must give the manifest's number to the last digit. Pictures of cats and dogs may
 * be off by 0.002: the training script decoded their JPEG with another version of the decoder.
 * A sanitizer makes everything slower, so fewer items are posted then, and only the bound of
 * "not much worse" is asked for.
 */
#include "rig.h"
#include "samples.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "command/npy.h"

#define CLIENTS 16
#define BITS (RIG_SANITIZED ? 48 : 200)
#define MOST(n) (RIG_SANITIZED ? 100 : (n))

static void open_rig(struct rig *rig)
{
    rig_begin(rig);
    rig_start(rig, "models --no-learn"); /* batches shall form, whatever they bring */
}

static void close_rig(struct rig *rig)
{
    ck_assert_int_eq(rig_stop(rig), 0);
    rig_end(rig);
}

static struct rig_post *posts_of(const struct digits *digits, int n, const char *path)
{
    struct rig_post *posts = rig_keep(calloc((size_t)n, sizeof *posts));
    ck_assert_ptr_nonnull(posts);
    for (int i = 0; i < n; i++) {
        struct blob png = samples_png(digits->pixels + (size_t)i * SAMPLES_PIXELS, SAMPLES_SIDE, SAMPLES_SIDE);
        posts[i] = (struct rig_post){path, "image/png", png.at, png.n, {0}};
    }
    return posts;
}

/* What `perceptd run` makes of the first n digits in one batch: [n,10]. */
static const float *run_alone(const struct rig *rig, const struct digits *digits, int n)
{
    static struct arena arena;
    struct percept_err err;
    char path[128];
    struct percept_tensor tensor = {.dtype = PERCEPT_FLOAT,
                                    .rank = 4,
                                    .dims = {n, 1, SAMPLES_SIDE, SAMPLES_SIDE},
                                    .data = samples_values(digits, 0, n)};
    snprintf(path, sizeof path, "%s/x.npy", rig->folder);
    ck_assert_msg(npy_write(path, &tensor, &err), "%s", err.text);
    free(rig_shell(NULL,
                   "%s run models/digits/model.onnx --region-prefix perceptd-test --input %s "
                   "--output-dir %s/d 2>&1",
                   getenv("PERCEPTD_BINARY"), path, rig->folder));
    snprintf(path, sizeof path, "%s/d/scores.npy", rig->folder);
    ck_assert_msg(npy_read(path, &arena, &tensor, &err), "%s", err.text);
    ck_assert(tensor.rank == 2 && tensor.dims[0] == n && tensor.dims[1] == 10);
    return tensor.data;
}

static void expect_own_bits(const struct rig_post *posts, const float *scores, int n)
{
    for (int i = 0; i < n; i++) {
        float got[10];
        ck_assert_int_eq(reply_floats(&posts[i].reply, got, 10), 10);
        for (int k = 0; k < 10; k++)
            ck_assert_msg(memcmp(&got[k], &scores[i * 10 + k], sizeof(float)) == 0,
                          "digit %d, score %d: %.9g over HTTP, %.9g alone", i, k, (double)got[k],
                          (double)scores[i * 10 + k]);
    }
}

START_TEST(sixteen_clients_get_the_bits_of_a_run_alone)
{
    struct rig rig;
    struct digits digits;
    if (!rig_is_there() || !samples_digits(&digits, BITS))
        return;
    open_rig(&rig);
    struct rig_post *posts = posts_of(&digits, digits.n, "/v2/models/digits/infer");
    rig_crowd(&rig, CLIENTS, posts, digits.n);
    expect_own_bits(posts, run_alone(&rig, &digits, digits.n), digits.n);
    double items = rig_metric(&rig, "perceptd_batch_size_sum{model=\"digits\"");
    double runs = rig_metric(&rig, "perceptd_batch_size_count{model=\"digits\"");
    printf("measured: %d digits, %d clients: the same bits; %.0f runs, mean batch %.2f\n", digits.n, CLIENTS, runs,
           items / runs);
    ck_assert_msg(items == digits.n, "the histogram has %g items, not %d", items, digits.n);
    ck_assert_msg(runs < items, "no batch formed: %g items in %g runs", items, runs);
    close_rig(&rig);
}
END_TEST

static double share_right(const struct rig_post *posts, const char *const *labels, int n)
{
    int hits = 0;
    for (int i = 0; i < n; i++) {
        char got[64];
        hits += strcmp(reply_label(&posts[i].reply, 0, got, sizeof got), labels[i]) == 0;
    }
    return (double)hits / n;
}

static void expect_accuracy(const char *name, double got, int n, double tolerance)
{
    double wanted = samples_accuracy(name, "value");
    bool whole = n == (int)samples_accuracy(name, "n");
    printf("measured: %s: %.5f of %d, the manifest says %.4f\n", name, got, n, wanted);
    if (!whole) /* too few to be exact: four standard deviations */
        tolerance = 4 * sqrt(wanted * (1 - wanted) / n) + 0.01;
    double rounding = 0.5e-4 + 1e-9; /* the manifest has four digits */
    ck_assert_msg(fabs(got - wanted) <= tolerance + rounding, "%s: accuracy of %d held-out items is %.5f, not %.4f",
                  name, n, got, wanted);
}

static void measure_digits(const struct rig *rig, const struct digits *digits, const char *name)
{
    char path[64];
    int hits = 0;
    snprintf(path, sizeof path, "/v2/models/%s/infer", name);
    struct rig_post *posts = posts_of(digits, digits->n, path);
    rig_crowd(rig, CLIENTS, posts, digits->n);
    for (int i = 0; i < digits->n; i++) {
        char got[64];
        hits += reply_label(&posts[i].reply, 0, got, sizeof got)[0] == '0' + digits->labels[i];
    }
    expect_accuracy(name, (double)hits / digits->n, digits->n, 0);
}

START_TEST(both_networks_for_digits_are_as_good_as_their_manifests_say)
{
    struct rig rig;
    struct digits digits;
    if (!rig_is_there() || !samples_digits(&digits, MOST(2000)))
        return;
    open_rig(&rig);
    measure_digits(&rig, &digits, "digits");
    measure_digits(&rig, &digits, "perceptron");
    close_rig(&rig);
}
END_TEST

static void measure(const struct rig *rig, const struct samples *samples, const char *name, const char *type,
                    double tolerance)
{
    char path[64];
    snprintf(path, sizeof path, "/v2/models/%s/infer", name);
    struct rig_post *posts = rig_keep(calloc((size_t)samples->n, sizeof *posts));
    ck_assert_ptr_nonnull(posts);
    for (int i = 0; i < samples->n; i++)
        posts[i] = (struct rig_post){path, type, samples->bodies[i].at, samples->bodies[i].n, {0}};
    rig_crowd(rig, CLIENTS, posts, samples->n);
    expect_accuracy(name, share_right(posts, samples->labels, samples->n), samples->n, tolerance);
}

START_TEST(cats_and_dogs_are_told_apart_as_well_as_the_manifest_says)
{
    struct rig rig;
    struct samples samples;
    if (!rig_is_there())
        return;
    open_rig(&rig);
    if (samples_pictures(&rig, &samples, MOST(2000)))
        measure(&rig, &samples, "cats-dogs", "image/jpeg", 0.002);
    close_rig(&rig);
}
END_TEST

START_TEST(spam_is_found_as_well_as_the_manifest_says)
{
    struct rig rig;
    struct samples samples;
    if (!rig_is_there() || !samples_messages(&samples, MOST(10000)))
        return;
    open_rig(&rig);
    measure(&rig, &samples, "spam", "text/plain", 0);
    close_rig(&rig);
}
END_TEST

START_TEST(names_are_placed_as_well_as_the_manifest_says)
{
    struct rig rig;
    struct samples samples;
    if (!rig_is_there() || !samples_surnames(&samples))
        return;
    open_rig(&rig);
    if (!RIG_SANITIZED) /* languages are unequal: a part would measure something else */
        measure(&rig, &samples, "names", "text/plain", 0);
    close_rig(&rig);
}
END_TEST

/* The blocks of one thousand that models/README.md names, and each item once: what is alike would otherwise be
 * measured several times, or lie among what was trained on as well. */
START_TEST(what_is_measured_is_whole_writers_and_no_repetition)
{
    struct rig rig;
    struct samples lists[2];
    char line[16];
    rig_begin(&rig);
    FILE *list = fopen("models/digits/heldout.txt", "r");
    ck_assert_ptr_nonnull(list);
    for (long i = 0; i < 2000; i++) {
        ck_assert_ptr_nonnull(fgets(line, sizeof line, list));
        ck_assert_int_eq(strtol(line, NULL, 10), i < 1000 ? 4000 + i : 7000 + i);
    }
    ck_assert_ptr_null(fgets(line, sizeof line, list));
    fclose(list);
    if (!samples_messages(&lists[0], 10000) || !samples_surnames(&lists[1]))
        return;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < lists[k].n; i++)
            for (int j = 0; j < i; j++) {
                const struct blob *a = &lists[k].bodies[i], *b = &lists[k].bodies[j];
                bool same = a->n == b->n && memcmp(a->at, b->at, a->n) == 0 &&
                            strcmp(lists[k].labels[i], lists[k].labels[j]) == 0;
                ck_assert_msg(!same, "'%.*s' is measured twice", (int)a->n, (const char *)a->at);
            }
    rig_end(&rig);
}
END_TEST

static void expect_interval(const char *name)
{
    double value = samples_accuracy(name, "value"), n = samples_accuracy(name, "n");
    double z = 1.959964, step = z * z / n; /* Wilson 1927 */
    double half = z * sqrt(value * (1 - value) / n + step / n / 4);
    double low = (value + step / 2 - half) / (1 + step), high = (value + step / 2 + half) / (1 + step);
    double rounding = 1e-4; /* value, low and high have four digits each */
    ck_assert_msg(fabs(samples_accuracy(name, "low") - low) <= rounding, "%s: %g", name, low);
    ck_assert_msg(fabs(samples_accuracy(name, "high") - high) <= rounding, "%s: %g", name, high);
}

START_TEST(manifests_tell_the_interval)
{
    expect_interval("digits");
    expect_interval("perceptron");
    expect_interval("cats-dogs");
    expect_interval("spam");
    expect_interval("names");
}
END_TEST

Suite *daemon_accuracy_suite(void);

Suite *daemon_accuracy_suite(void)
{
    Suite *suite = suite_create("daemon_accuracy");
    TCase *tests = tcase_create("accuracy");
    tcase_add_test(tests, sixteen_clients_get_the_bits_of_a_run_alone);
    tcase_add_test(tests, both_networks_for_digits_are_as_good_as_their_manifests_say);
    tcase_add_test(tests, cats_and_dogs_are_told_apart_as_well_as_the_manifest_says);
    tcase_add_test(tests, spam_is_found_as_well_as_the_manifest_says);
    tcase_add_test(tests, names_are_placed_as_well_as_the_manifest_says);
    tcase_add_test(tests, what_is_measured_is_whole_writers_and_no_repetition);
    tcase_add_test(tests, manifests_tell_the_interval);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
