/*
 * regions.c - `perceptd regions`: the packed weights of this user in shared memory, and who holds
 * them. One that nobody holds is kept (--keep-regions), or was left by a crash; the next daemon
 * adopts it or, when it is not kept or was kept for too long, removes it. --clean removes all of
 * them now.
 */
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "command/command.h"
#include "http/text.h"

#define REGIONS_MAX 1024

/* RFC 3339, in UTC. */
static const char *time_text(int64_t seconds, char text[32])
{
    struct tm tm;
    time_t at = (time_t)seconds;
    gmtime_r(&at, &tm);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return text;
}

static void print_table(const struct percept_region_info *infos, int n, struct arena *arena)
{
    if (!n)
        puts("none");
    for (int i = 0; i < n; i++) {
        printf("%s  %zu bytes  level %s  %s  held by", infos[i].name, infos[i].n_bytes, infos[i].level,
               text_escaped(arena, infos[i].model));
        int shown = infos[i].n_holders > 16 ? 16 : infos[i].n_holders;
        for (int k = 0; k < shown; k++)
            printf(" %d", infos[i].holders[k]);
        if (shown < infos[i].n_holders)
            printf(" and %d more", infos[i].n_holders - shown);
        if (!infos[i].n_holders)
            printf(" nobody");
        if (infos[i].kept_since)
            printf("  kept since %s", time_text(infos[i].kept_since, (char[32]){0}));
        puts("");
    }
}

static void add_region(struct text *text, const struct percept_region_info *info)
{
    text_add(text, "{\"name\": ");
    text_json(text, info->name);
    text_printf(text, ", \"bytes\": %zu, \"model\": ", info->n_bytes);
    text_json(text, info->model);
    text_add(text, ", \"level\": ");
    text_json(text, info->level);
    text_printf(text, ", \"n_holders\": %d, \"holders\": [", info->n_holders);
    for (int k = 0; k < info->n_holders && k < 16; k++)
        text_printf(text, "%s%d", k ? ", " : "", info->holders[k]);
    text_add(text, "], \"kept_since\": ");
    if (info->kept_since)
        text_json(text, time_text(info->kept_since, (char[32]){0}));
    else
        text_add(text, "null");
    text_add(text, "}");
}

static bool print_json(const struct percept_region_info *infos, int n, struct arena *arena, struct percept_err *err)
{
    struct text text = {.arena = arena};
    text_add(&text, "[");
    for (int i = 0; i < n; i++) {
        text_add(&text, i ? ",\n " : "");
        add_region(&text, &infos[i]);
    }
    text_add(&text, "]\n");
    return command_print(&text, err);
}

int regions_command(const struct options *options)
{
    struct arena arena = {0};
    struct percept_err err;
    if (options->clean) {
        int n_removed = percept_clean_regions(options->settings.region_prefix, 0);
        printf(options->json ? "{\"removed\": %d}\n" : "removed %d\n", n_removed);
        return EXIT_SUCCESS;
    }
    struct percept_region_info *infos = arena_array(&arena, REGIONS_MAX, sizeof *infos);
    bool good = infos || err_memory(&err, "the list of regions", REGIONS_MAX * sizeof *infos);
    int n = good ? percept_list_regions(options->settings.region_prefix, infos, REGIONS_MAX) : 0;
    if (good && options->json)
        good = print_json(infos, n, &arena, &err);
    else if (good)
        print_table(infos, n, &arena);
    arena_free(&arena);
    return good ? EXIT_SUCCESS : command_fail(&err);
}
