/*
 * mates.c - trained and whole networks, each item beside mates of NaN, infinities, numbers of 10^30, zeros and copies:
 * wherever requests may be joined, the same bits as alone.
 *
 *     mates PATH...      .onnx files, and folders with them at any depth
 *
 * Large networks run all kinds of mates in one batch, small ones each in batches of their own. A line per network;
 * closes with "N passed, N failed, N skipped", skipped being those whose requests are not joined.
 */
#include "mates.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LITTLE_FLOPS 2e7 /* of an item, up to which every kind has runs of its own */
#define MOST_FLOPS 4e9   /* at which free axes are shorter */

static int passed, failed, skipped;

/* An item's, with other free axes so long; 0: it does not work. */
static double flops_at(const struct percept_model *model, int64_t length)
{
    struct percept_session *session = percept_session_new(model, NULL);
    int n;
    const struct percept_io *inputs = percept_inputs(model, &n);
    bool good = session != NULL;
    for (int i = 0; good && i < n; i++) {
        int64_t dims[PERCEPT_RANK_MAX];
        for (int d = 0; d < inputs[i].rank; d++)
            dims[d] = d == inputs[i].batch_axis ? 1 : inputs[i].dims[d] < 0 ? length : inputs[i].dims[d];
        good = percept_resize(session, i, inputs[i].rank, dims, NULL);
    }
    const double flops = good && percept_prepare(session, NULL) ? percept_session_flops(session) + 1 : 0;
    percept_session_free(session);
    return flops;
}

static void one_model(const char *path)
{
    static const int64_t lengths[] = {24, 64, 512, 16000, 8, 5, 1280};
    const struct percept_options options = {
        .size = sizeof options, .level = getenv("PERCEPTD_KERNELS"), .region = PERCEPT_REGION_PRIVATE};
    struct percept_err err = {0};
    struct percept_description d;
    char what[200] = "";
    struct percept_model *model = percept_open(path, &options, &err);
    enum mates_found found = MATES_UNTOLD;
    if (!model) {
        printf("not run: %s\n", err.text);
        return;
    }
    percept_describe(model, &d);
    for (size_t i = 0; d.batch_free && found == MATES_UNTOLD && i < sizeof lengths / sizeof *lengths; i++) {
        const double flops = flops_at(model, lengths[i]);
        if (flops > 0 && flops < MOST_FLOPS * 10)
            found = mates_compare(model, lengths[i], 7, flops > LITTLE_FLOPS, what, sizeof what);
    }
    passed += found == MATES_SAME;
    failed += found == MATES_OTHER || (d.batch_free && found == MATES_UNTOLD);
    skipped += !d.batch_free;
    printf("%s: %s\n", path,
           found == MATES_SAME    ? "same bits"
           : found == MATES_OTHER ? what
           : d.batch_free         ? "FAILED: nothing was compared"
                                  : d.batch_reason);
    fflush(stdout);
    percept_close(model);
}

static void walk(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return;
    if (!S_ISDIR(info.st_mode)) {
        const size_t n = strlen(path);
        if (n > 5 && strcmp(path + n - 5, ".onnx") == 0)
            one_model(path);
        return;
    }
    struct dirent **names;
    const int n = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char below[4096];
        if (names[i]->d_name[0] != '.' &&
            snprintf(below, sizeof below, "%s/%s", path, names[i]->d_name) < (int)sizeof below)
            walk(below);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        walk(argv[i]);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed || !passed;
}
