/*
 * abuse.c - damaged copies of trained models: every prefix (all of the first 64 KiB, then every
 * 509th) and random flips of bytes of the smallest models of a folder. Each is opened and, if that
 * goes well, run at small shapes: refused or run, never a crash. Meant for a build with sanitizers.
 *
 *     abuse DIR           N=COUNT flips altogether (10,000)
 *
 * Cases are numbered and repeatable. They run in children, a batch each: a child that dies names
 * the case it was at, counts as one failure, and the next begins behind it. Closes with "N passed,
 * N failed, N skipped".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "fuzz/support/drive.h"

#define MOST_MODELS 5
#define ALL_UP_TO 65536
#define PREFIX_STEP 509
#define BATCH 2000
#define SECONDS_A_CASE 60 /* sanitizers are slow, and a kernel ends before its deadline is looked at */

struct victim {
    char *path;
    struct bytes file;
};

/* What children tell. */
struct progress {
    long at;
    long ends[3]; /* of enum drive_end */
};

static int by_size(const void *a, const void *b)
{
    size_t x = bytes_size(((const struct victim *)a)->file), y = bytes_size(((const struct victim *)b)->file);
    return (x > y) - (x < y);
}

static int find_victims(struct arena *arena, const char *folder, struct victim **victims)
{
    struct percept_err err = {0};
    char **names;
    int n_names = file_list(arena, folder, &names, &err), n = 0;
    if (n_names < 0)
        return 0;
    *victims = arena_array(arena, (size_t)n_names + 1, sizeof **victims);
    for (int i = 0; *victims && i < n_names; i++) {
        struct victim victim = {.path = file_join(arena, file_join(arena, folder, names[i]), "model.onnx")};
        if (file_exists(victim.path) && file_read(victim.path, 0, &victim.file, NULL, &err))
            (*victims)[n++] = victim;
    }
    qsort(*victims, (size_t)n, sizeof **victims, by_size);
    while (n > MOST_MODELS)
        arena_buffer_free((void *)(uintptr_t)(*victims)[--n].file.at);
    return n;
}

static long count_prefixes(size_t n_bytes)
{
    return n_bytes <= ALL_UP_TO ? (long)n_bytes : ALL_UP_TO + (long)(n_bytes - ALL_UP_TO) / PREFIX_STEP;
}

static size_t prefix_bytes(long number)
{
    return number < ALL_UP_TO ? (size_t)number : ALL_UP_TO + (size_t)(number - ALL_UP_TO + 1) * PREFIX_STEP;
}

/* Copies are exactly as large as they say, so that a sanitizer sees the end. */
static enum drive_end run_case(struct bytes file, long number, long n_prefixes)
{
    struct draw draw = draw_seeded((uint64_t)number + 1);
    size_t n = number < n_prefixes ? prefix_bytes(number) : bytes_size(file);
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    memcpy(copy, file.at, n);
    if (number >= n_prefixes)
        for (uint64_t flips = 1 + draw_below(&draw, 3); flips; flips--)
            copy[draw_below(&draw, n)] ^= (uint8_t)(1 + draw_below(&draw, 255));
    enum drive_end end = drive_model(copy, n, &draw, DRIVE_MUCH_BYTES, 1);
    free(copy);
    return end;
}

/* Cases [from, to); where the child got to. */
static long run_batch(struct bytes file, long from, long to, long n_prefixes, struct progress *progress)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        for (progress->at = from; progress->at < to; progress->at++) {
            alarm(SECONDS_A_CASE);
            progress->ends[run_case(file, progress->at, n_prefixes)]++;
        }
        _exit(0);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return progress->at;
}

/* The smaller a model, the more of the flips are its: a byte of it matters more, and a run costs
 * less. */
static long share_of(const struct victim *victims, int n, int i, long flips)
{
    double all = 0;
    for (int k = 0; k < n; k++)
        all += 1 / (double)bytes_size(victims[k].file);
    return (long)((double)flips / ((double)bytes_size(victims[i].file) * all) + 0.999);
}

static long run_victim(const struct victim *victim, long n_flips, struct progress *progress, long *failed)
{
    long n_prefixes = count_prefixes(bytes_size(victim->file)), n = n_prefixes + n_flips, from = 0;
    while (from < n) {
        long to = from + BATCH < n ? from + BATCH : n;
        long at = run_batch(victim->file, from, to, n_prefixes, progress);
        if (at < 0)
            return from;
        if (at < to) {
            printf("failed %s: case %ld (%s)\n", victim->path, at, at < n_prefixes ? "a prefix" : "flipped bytes");
            ++*failed;
            at++;
        }
        from = at;
    }
    return n;
}

int main(int argc, char **argv)
{
    struct arena arena = {0};
    struct victim *victims;
    int n = argc > 1 ? find_victims(&arena, argv[1], &victims) : 0;
    if (n == 0) {
        printf("skipped: no models in %s\n0 passed, 0 failed, 1 skipped\n", argc > 1 ? argv[1] : "(no folder)");
        return 0;
    }
    struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED)
        return 2;
    long flips = getenv("N") ? atol(getenv("N")) : 10000, passed = 0, failed = 0;
    for (int i = 0; i < n; i++) {
        long bad = 0;
        *progress = (struct progress){0};
        long ran = run_victim(&victims[i], share_of(victims, n, i, flips), progress, &bad);
        printf("%s: %ld cases, %ld refused, %ld opened, %ld run\n", victims[i].path, ran, progress->ends[DRIVE_REFUSED],
               progress->ends[DRIVE_OPENED], progress->ends[DRIVE_RAN]);
        passed += ran - bad;
        failed += bad;
    }
    for (int i = 0; i < n; i++)
        arena_buffer_free((void *)(uintptr_t)victims[i].file.at);
    munmap(progress, sizeof *progress);
    arena_free(&arena);
    printf("%ld passed, %ld failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
