/*
 * profile.c - a table of steps: time, rate, share of the machine's peak, bytes, and what the step would take at the
 * roofline, which is the longer of its arithmetic at peak and its bytes at the rate of memory.
 *
 * Steps stand in the order in which they run: that is where to look for what lies between two of them. Their sums by
 * algorithm stand below, the longest first. The roofline counts every byte once and from beyond the second cache, so a
 * step whose tensors are still in a cache may beat it. Thread: the command's. Owns nothing; memory is the caller's
 * arena.
 */
#include "command/profile.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

bool profile_add(struct profile *profile, const struct percept_session *session, struct arena *arena,
                 struct percept_err *err)
{
    int n;
    const struct percept_step_profile *steps = percept_profile(session, &n);
    if (!profile->steps) {
        profile->steps = arena_array(arena, (size_t)n + 1, sizeof *profile->steps);
        if (!profile->steps)
            return err_memory(err, "a profile", (size_t)n * sizeof *profile->steps);
        memcpy(profile->steps, steps, (size_t)n * sizeof *steps);
        profile->n = n;
    }
    if (n != profile->n)
        return true;
    for (int i = 0; i < n; i++)
        if (steps[i].ms < profile->steps[i].ms)
            profile->steps[i].ms = steps[i].ms;
    profile->n_runs++;
    return true;
}

/* --- rates -------------------------------------------------------------------------------------------------------- */

/* GFLOP/s of n operations. */
static double rate(double flops, double ms)
{
    return ms > 0 ? flops / ms / 1e6 : 0;
}

static double peak_share(double flops, double ms, const struct percept_machine *machine, int cores)
{
    return ms > 0 && machine->flops_per_s > 0 ? flops / (ms / 1e3) / (machine->flops_per_s * cores) : 0;
}

static double roofline_ms(const struct percept_step_profile *step, const struct percept_machine *machine, int cores)
{
    const double arithmetic = machine->flops_per_s > 0 ? step->done_flops / (machine->flops_per_s * cores) : 0;
    const double memory = machine->bytes_per_s > 0 ? step->bytes / (machine->bytes_per_s * cores) : 0;
    return 1e3 * (arithmetic > memory ? arithmetic : memory);
}

/* --- sums --------------------------------------------------------------------------------------------------------- */

/* Steps of one operator and algorithm; of all of them `roof_ms` is the sum. */
struct sum {
    struct percept_step_profile step;
    double roof_ms;
    int count;
};

static int by_time(const void *a, const void *b)
{
    const double x = ((const struct sum *)a)->step.ms, y = ((const struct sum *)b)->step.ms;
    return (x < y) - (x > y);
}

static void sum_add(struct sum *sum, const struct percept_step_profile *step, double roof_ms)
{
    sum->step.ms += step->ms;
    sum->step.flops += step->flops;
    sum->step.done_flops += step->done_flops;
    sum->step.bytes += step->bytes;
    sum->roof_ms += roof_ms;
    sum->count++;
}

/* Into sums[profile->n], sorted; how many they are. */
static int sum_up(const struct profile *profile, const struct percept_machine *machine, int cores, struct sum *sums)
{
    int n = 0;
    for (int i = 0; i < profile->n; i++) {
        const struct percept_step_profile *step = &profile->steps[i];
        int k = 0;
        while (k < n &&
               (strcmp(sums[k].step.op_type, step->op_type) || strcmp(sums[k].step.algorithm, step->algorithm)))
            k++;
        if (k == n)
            sums[n++] = (struct sum){.step = {.op_type = step->op_type, .algorithm = step->algorithm}};
        sum_add(&sums[k], step, roofline_ms(step, machine, cores));
    }
    qsort(sums, (size_t)n, sizeof *sums, by_time);
    return n;
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

static void add_line(struct text *text, const struct percept_step_profile *step, double roof_ms, double total_ms,
                     const struct percept_machine *machine, int cores)
{
    text_printf(text, "%9.4f %6.2f %9.2f %6.1f %9.3f %9.4f  %-22s %-12s ", step->ms,
                total_ms > 0 ? 100 * step->ms / total_ms : 0, rate(step->flops, step->ms),
                100 * peak_share(step->done_flops, step->ms, machine, cores), step->bytes / 1e6, roof_ms, step->op_type,
                step->algorithm);
}

void profile_text(struct text *text, const struct profile *profile, const struct percept_machine *machine, int cores)
{
    struct sum all = {.step = {.op_type = "all", .algorithm = ""}};
    struct sum *sums = arena_array(text->arena, (size_t)profile->n + 1, sizeof *sums);
    if (!sums) {
        text->failed = true;
        return;
    }
    for (int i = 0; i < profile->n; i++)
        sum_add(&all, &profile->steps[i], roofline_ms(&profile->steps[i], machine, cores));
    text_printf(text, "\na core of this machine: %.1f GFLOP/s, %.1f GB/s; steps: the least of %d run%s\n",
                machine->flops_per_s / 1e9, machine->bytes_per_s / 1e9, profile->n_runs,
                profile->n_runs == 1 ? "" : "s");
    text_printf(text, "%9s %6s %9s %6s %9s %9s  %-22s %-12s %s\n", "ms", "%", "GFLOP/s", "peak%", "MB", "roof ms",
                "operator", "algorithm", "node");
    for (int i = 0; i < profile->n; i++) {
        const struct percept_step_profile *step = &profile->steps[i];
        add_line(text, step, roofline_ms(step, machine, cores), all.step.ms, machine, cores);
        text_visible(text, step->node);
        text_add(text, "\n");
    }
    add_line(text, &all.step, all.roof_ms, all.step.ms, machine, cores);
    text_printf(text, "%d steps\n\nby algorithm\n", all.count);
    const int n = sum_up(profile, machine, cores, sums);
    for (int i = 0; i < n; i++) {
        add_line(text, &sums[i].step, sums[i].roof_ms, all.step.ms, machine, cores);
        text_printf(text, "%d step%s\n", sums[i].count, sums[i].count == 1 ? "" : "s");
    }
}

void profile_json(struct text *text, const struct profile *profile, const struct percept_machine *machine, int cores)
{
    text_add(text, "[");
    for (int i = 0; i < profile->n; i++) {
        const struct percept_step_profile *step = &profile->steps[i];
        text_add(text, i ? ",\n  {\"node\": " : "\n  {\"node\": ");
        text_json(text, step->node);
        text_printf(text,
                    ", \"operator\": \"%s\", \"algorithm\": \"%s\", \"ms\": %.6f, \"flops\": %.0f, "
                    "\"done_flops\": %.0f, \"peak_share\": %.6f, \"bytes\": %.0f, \"roofline_ms\": %.9f}",
                    step->op_type, step->algorithm, step->ms, step->flops, step->done_flops,
                    peak_share(step->done_flops, step->ms, machine, cores), step->bytes,
                    roofline_ms(step, machine, cores));
    }
    text_add(text, "]");
}
