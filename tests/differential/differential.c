/*
 * differential.c - random models of every operator, run by this engine and by ONNX Runtime.
 *
 *     differential ORT.JS DUMP-FOLDER [FOLDER-OF-LIGHT-MODELS]
 *     T=Conv SEED=7 CASES=1000 CASE=41      the operator T; another seed; how many; one alone
 *
 * Every operator of ops.def needs a generator in families.def and gets at least CASES (200) comparisons.
 * An operator runs in a process of its own, so that a crash is one failure with a name. Cases come in
 * batches: ONNX Runtime works on one while we do ours.
 *
 * A case is one of: compared (both ran), agreed refusal (neither ran it), disagreement (other numbers, or
 * only ours refused), not comparable (ONNX Runtime has no kernel even for the wider type, and there is no
 * oracle of ours). The last are replaced by further cases until enough were compared.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "differential/answer.h"
#include "differential/families.h"
#include "differential/light.h"
#include "op/op.h"

#define BATCH 64
#define SHOWN 4 /* disagreements printed per operator */

struct tally {
    int compared, by_oracle, disagree, both_refuse, not_comparable, explained;
    int at;            /* the case being worked on: read by the parent after a crash */
    char refusal[200]; /* an example of both refusing */
    char theirs[300];  /* an example of not comparable */
};

struct trial {
    struct example example;
    int number;
    int n_feeds;
    struct feed *feeds;      /* as the model is */
    enum percept_dtype wide; /* of what ONNX Runtime was asked */
    struct answer ours, theirs;
    bool settled;
};

static long setting(const char *name, long usual)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : usual;
}

static void make_feeds(struct trial *t, enum percept_dtype wide, struct feed **feeds, int *n)
{
    struct example *e = &t->example;
    *feeds = arena_array(e->arena, EXAMPLE_INPUTS, sizeof **feeds);
    *n = 0;
    for (int i = 0; i < e->n_in; i++) {
        if (e->in[i].left_out || e->in[i].constant)
            continue;
        struct feed *feed = &(*feeds)[(*n)++];
        snprintf(feed->name, sizeof feed->name, "x%d", i);
        feed->tensor = example_widened(e, i, wide);
    }
}

static bool is_half(enum percept_dtype dtype)
{
    return dtype == PERCEPT_FLOAT16 || dtype == PERCEPT_BFLOAT16;
}

/* Asks ONNX Runtime for trials [0, n) that are not settled, T replaced where `widen` says so. */
static bool ask(struct trial *trials, int n, bool widen, int *asked)
{
    struct proto request = {0};
    *asked = 0;
    for (int i = 0; i < n; i++) {
        struct trial *t = &trials[i];
        if (t->settled)
            continue;
        t->wide = widen || is_half(t->example.type) ? example_wide(&t->example) : t->example.type;
        struct proto model = example_question(&t->example, t->wide);
        struct feed *feeds;
        int n_feeds;
        make_feeds(t, t->wide, &feeds, &n_feeds);
        theirs_add(&request, proto_view(&model), n_feeds, feeds);
        proto_free(&model);
        (*asked)++;
    }
    bool good = *asked == 0 || theirs_ask(&request, (uint32_t)*asked);
    proto_free(&request);
    return good;
}

static bool hear(struct trial *trials, int n, int asked, struct arena *arena)
{
    struct answer *answers = arena_array(arena, (size_t)asked + 1, sizeof *answers);
    if (asked && !theirs_answers((uint32_t)asked, arena, answers))
        return false;
    for (int i = 0, k = 0; i < n; i++)
        if (!trials[i].settled)
            trials[i].theirs = answers[k++];
    return true;
}

static void run_ours(struct trial *t)
{
    struct proto model = example_model(&t->example);
    make_feeds(t, t->example.type, &t->feeds, &t->n_feeds);
    ours_run(proto_view(&model), t->n_feeds, t->feeds, t->example.arena, &t->ours);
    proto_free(&model);
}

static void dump(const struct trial *t, const char *folder)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s-%d.onnx", folder, t->example.op, t->number);
    struct proto model = example_model(&t->example);
    FILE *file = fopen(path, "we");
    if (file) {
        fwrite(model.at, 1, model.n, file);
        fclose(file);
    }
    proto_free(&model);
}

static void disagree(const struct trial *t, struct tally *tally, const char *folder, const char *why)
{
    char text[600];
    if (t->example.explained) {
        tally->explained++;
        return;
    }
    tally->disagree++;
    if (tally->disagree > setting("SHOWN", SHOWN))
        return;
    dump(t, folder);
    printf("%s case %d: %s\n    %s\n", t->example.op, t->number, why, example_text(&t->example, text, sizeof text));
}

/* The outputs that the model declares, one after the other. */
static bool same_outputs(const struct trial *t, const struct answer *want, char *why, size_t n)
{
    const struct example *e = &t->example;
    if (t->ours.n_out != want->n_out) {
        snprintf(why, n, "%d outputs, expected %d", t->ours.n_out, want->n_out);
        return false;
    }
    struct tolerance tolerance = {e->absolute, e->relative, e->float_inside, e->shapes_only};
    for (int i = 0; i < want->n_out; i++) {
        char reason[300];
        if (!compare_tensors(&t->ours.out[i], &want->out[i], e->type, t->wide, tolerance, reason, sizeof reason)) {
            snprintf(why, n, "output %d: %s", i, reason);
            return false;
        }
    }
    return true;
}

static void judge(struct trial *t, struct tally *tally, const char *folder)
{
    char why[700];
    bool we = t->ours.outcome == OUTCOME_RAN, they = t->theirs.outcome == OUTCOME_RAN;
    struct answer oracle = {0};
    for (int i = 0; i < t->example.n_out; i++)
        oracle.n_out += t->example.out[i] != PERCEPT_UNDEFINED;
    if (!they && we && t->example.oracle && t->example.oracle(&t->example, oracle.out)) {
        t->theirs = oracle;
        t->wide = t->example.type;
        they = true;
        tally->by_oracle++;
    }
    if (!we && !they) {
        tally->both_refuse++;
        snprintf(tally->refusal, sizeof tally->refusal, "%.199s", t->ours.why);
    } else if (we && !they) {
        tally->not_comparable++;
        snprintf(tally->theirs, sizeof tally->theirs, "case %d: %.280s", t->number, t->theirs.why);
    } else if (!we) {
        snprintf(why, sizeof why, "refused: %.600s", t->ours.why);
        disagree(t, tally, folder, why);
    } else if (!same_outputs(t, &t->theirs, why, sizeof why)) {
        tally->compared++;
        if (t->example.explained && t->example.oracle && t->example.oracle(&t->example, oracle.out)) {
            t->wide = t->example.type; /* the explanation must hold: ours is what the oracle says */
            if (!same_outputs(t, &oracle, why, sizeof why))
                t->example.explained = NULL;
        }
        disagree(t, tally, folder, why);
    } else
        tally->compared++;
}

/* One batch; false when ONNX Runtime's process ended over it. */
static bool run_batch(const struct family *f, int first, int n, long seed, struct tally *tally, const char *folder)
{
    struct arena arena = {0};
    struct trial *trials = arena_array(&arena, BATCH, sizeof *trials);
    int asked;
    for (int i = 0; i < n; i++) {
        struct trial *t = &trials[i];
        t->number = first + i;
        example_begin(&t->example, &arena, f->op, f->domain, f->first, f->variant,
                      (uint64_t)seed * 1000003u + (uint64_t)t->number);
        f->make(&t->example);
    }
    bool alive = ask(trials, n, false, &asked);
    for (int i = 0; i < n; i++) {
        tally->at = trials[i].number;
        run_ours(&trials[i]);
    }
    tally->at = -1;
    alive = alive && hear(trials, n, asked, &arena);
    /* what they refused and we ran is asked again, wider */
    for (int i = 0; i < n; i++)
        trials[i].settled = trials[i].theirs.outcome == OUTCOME_RAN || trials[i].ours.outcome != OUTCOME_RAN ||
                            example_wide(&trials[i].example) == trials[i].wide;
    alive = alive && ask(trials, n, true, &asked) && hear(trials, n, asked, &arena);
    for (int i = 0; i < n && alive; i++)
        judge(&trials[i], tally, folder);
    for (int i = 0; i < n; i++)
        example_end(&trials[i].example);
    arena_free(&arena);
    return alive;
}

static void run_family(const struct family *f, const char *script, const char *folder, struct tally *tally)
{
    long seed = setting("SEED", 1), wanted = setting("CASES", 200), only = setting("CASE", -1);
    if (only >= 0) {
        theirs_start(script);
        run_batch(f, (int)only, 1, seed, tally, folder);
        theirs_stop();
        return;
    }
    bool alive = theirs_start(script);
    for (int first = 0; alive && tally->compared < wanted && first < 6 * wanted; first += BATCH) {
        if (run_batch(f, first, BATCH, seed, tally, folder))
            continue;
        for (int i = 0; i < BATCH && alive; i++) { /* find the one that ends their process */
            alive = theirs_start(script);
            if (alive && !run_batch(f, first + i, 1, seed, tally, folder)) {
                tally->not_comparable++;
                snprintf(tally->theirs, sizeof tally->theirs, "case %d: ONNX Runtime crashed", first + i);
            }
        }
        alive = alive && theirs_start(script);
    }
    theirs_stop();
}

/* In a child: true when the operator agrees. */
static bool run_one_by_one(const struct family *f, const char *script, const char *folder)
{
    struct tally *tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tally == MAP_FAILED)
        return false;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(300);
        run_family(f, script, folder, tally);
        fflush(NULL);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    bool crashed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    long wanted = getenv("CASE") ? 0 : setting("CASES", 200);
    bool few = tally->compared < wanted;
    if (crashed)
        printf("%s case %d: the process ended with signal %d\n", f->op, tally->at, WTERMSIG(status));
    printf("%s: %d compared, %d disagree", f->op, tally->compared, tally->disagree);
    if (tally->explained)
        printf(", %d explained", tally->explained);
    if (tally->by_oracle)
        printf(", %d by the oracle", tally->by_oracle);
    if (tally->both_refuse)
        printf(", %d refused by both", tally->both_refuse);
    if (tally->not_comparable)
        printf(", %d not comparable", tally->not_comparable);
    printf("%s\n", few ? " (TOO FEW)" : "");
    if (few || getenv("VERBOSE")) {
        if (*tally->refusal)
            printf("    both refused: %s\n", tally->refusal);
        if (*tally->theirs)
            printf("    not comparable: %s\n", tally->theirs);
    }
    bool good = !crashed && !few && tally->disagree == 0;
    munmap(tally, sizeof *tally);
    return good;
}

static const struct family *find_family(const struct op *op)
{
    for (const struct family *f = families; f->op; f++)
        if (strcmp(f->op, op->name) == 0 && strcmp(f->domain, op->domain) == 0)
            return f;
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: differential ORT.JS DUMP-FOLDER\n");
        return 2;
    }
    mkdir(argv[2], 0777);
    if (!theirs_start(argv[1])) {
        printf("skipped: no node with the package onnxruntime-node (NODE_PATH, ORT_NODE)\n");
        printf("0 passed, 0 failed, 1 skipped\n");
        return 0;
    }
    theirs_stop();
    int n_ops, passed = 0, failed = 0;
    const struct op *ops = op_table(&n_ops);
    const char *only = getenv("T");
    for (int i = 0; i < n_ops; i++) {
        if ((only && strcmp(ops[i].name, only) != 0) ||
            (i && strcmp(ops[i].name, ops[i - 1].name) == 0 && strcmp(ops[i].domain, ops[i - 1].domain) == 0))
            continue;
        const struct family *f = find_family(&ops[i]);
        if (!f)
            printf("%s: no generator\n", ops[i].name);
        bool good = f && run_one_by_one(f, argv[1], argv[2]);
        passed += good;
        failed += !good;
        fflush(stdout);
    }
    if (argc > 3 && (!only || strcmp(only, "light") == 0))
        light_run(argv[3], argv[2], argv[1], &passed, &failed);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed || !passed;
}
