/*
 * survey.c - see survey.h. A model is made of its .onnx and of what lies beside it: in a folder of its own all files
 * (manifest, labels, external data), in the folder around its versions those too, and in a folder of many models those
 * that are called like it. Folders within are not looked into. A stamp is a sum over names, devices, inodes, sizes
 * and times of modification, of what a link leads to: a rename, a write and a link that leads elsewhere change it.
 */
#include "serve/survey.h"

#include "base/err.h"
#include "base/file.h"
#include "serve/beside.h"
#include "serve/entry.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define SUM_FIRST UINT64_C(0xcbf29ce484222325) /* FNV-1a, 64 bits */
#define SUM_PRIME UINT64_C(0x100000001b3)

struct unseen {
    struct unseen *next;
    const struct root *root;
};

/* --- stamps ------------------------------------------------------------------------------------------------------- */

static void add_bytes(uint64_t *sum, const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *sum = (*sum ^ ((const uint8_t *)at)[i]) * SUM_PRIME;
}

static void add_file(struct sighting *sighting, const char *name, const char *path)
{
    struct file_stamp stamp;
    if (!file_look(path, &stamp))
        return;
    const uint64_t numbers[] = {stamp.device, stamp.inode, stamp.size, (uint64_t)stamp.mtime_ns};
    add_bytes(&sighting->stamp, name, strlen(name) + 1);
    add_bytes(&sighting->stamp, numbers, sizeof numbers);
}

/* "net.data" and "net_weights.bin" are of net.onnx, "net2.onnx" is not. */
static bool is_of(const char *name, const char *stem)
{
    size_t n = strlen(stem), n_name = strlen(name);
    bool is_model = n_name > 5 && strcasecmp(name + n_name - 5, ".onnx") == 0;
    return !is_model && n_name > n && strncmp(name, stem, n) == 0 && strchr("._-", name[n]);
}

/* The files of a folder; `stem` NULL: all, else those that are called like it. */
static bool add_folder(struct survey *survey, struct sighting *sighting, const char *folder, const char *stem,
                       struct percept_err *err)
{
    struct arena *arena = &survey->scan.arena;
    char **names;
    struct percept_err why = {0};
    int n = file_list(arena, folder, &names, &why);
    if (n < 0)
        return why.code != ERR_MEMORY || err_memory(err, "a list of names", strlen(folder));
    for (int i = 0; i < n; i++) {
        if (names[i][0] == '.' || (stem && !is_of(names[i], stem)))
            continue;
        char *path = file_join(arena, folder, names[i]);
        if (!path)
            return err_memory(err, "a path", strlen(folder));
        if (!file_is_folder(path))
            add_file(sighting, names[i], path);
    }
    return true;
}

/* The folder around its versions; NULL: it has none. */
static const char *home_of(struct survey *survey, const struct sighting *sighting)
{
    struct arena *arena = &survey->scan.arena;
    char *folder = file_dirname(arena, sighting->found.path);
    char *inner = folder ? file_stem(arena, folder) : NULL;
    return inner && scan_number(inner) > 0 ? file_dirname(arena, folder) : NULL;
}

static bool set_stamp(struct survey *survey, struct sighting *sighting, struct percept_err *err)
{
    struct arena *arena = &survey->scan.arena;
    const struct found *found = &sighting->found;
    char *folder = file_dirname(arena, found->path);
    char *stem = file_stem(arena, found->path);
    if (!folder || !stem)
        return err_memory(err, "a path", strlen(found->path));
    const char *outer = home_of(survey, sighting);
    sighting->stamp = SUM_FIRST;
    add_file(sighting, "", found->path);
    if (!add_folder(survey, sighting, folder, found->folder ? NULL : stem, err) ||
        (outer && !add_folder(survey, sighting, outer, NULL, err)))
        return false;
    sighting->stamp += sighting->stamp == 0;
    return true;
}

/* --- sightings ---------------------------------------------------------------------------------------------------- */

const struct sighting *survey_find(const struct survey *survey, const char *name, int64_t version)
{
    for (const struct sighting *at = survey->first; at; at = at->next)
        if (at->found.version == version && strcmp(at->found.name, name) == 0)
            return at;
    return NULL;
}

/* A name is another's: the one that came first is served. */
static bool omit_twin(struct survey *survey, const struct found *found, const struct found *first,
                      struct percept_err *err)
{
    const char *name = found->path + entry_root_bytes(found->name, found->path);
    if (strcmp(found->path, first->path) == 0)
        return scan_omit(&survey->scan, name, found->path, "it is named twice, and served once", err);
    return scan_omit(
        &survey->scan, name, found->path,
        arena_printf(&survey->scan.arena, "two models are called '%s' version %" PRId64 ": '%s' is served; rename one",
                     found->name, found->version, first->path + entry_root_bytes(first->name, first->path)),
        err);
}

static bool add(struct survey *survey, const struct root *root, const struct found *found, struct percept_err *err)
{
    const struct sighting *first = survey_find(survey, found->name, found->version);
    if (first)
        return omit_twin(survey, found, &first->found, err);
    struct sighting *sighting = arena_alloc(&survey->scan.arena, sizeof *sighting);
    if (!sighting)
        return err_memory(err, "the list of models", sizeof *sighting);
    *sighting = (struct sighting){.found = *found, .root = root};
    if (!set_stamp(survey, sighting, err))
        return false;
    if (survey->first)
        survey->last->next = sighting;
    else
        survey->first = sighting;
    survey->last = sighting;
    return true;
}

/* --- versions ----------------------------------------------------------------------------------------------------- */

static int n_higher(const struct survey *survey, const struct sighting *of)
{
    int n = 0;
    for (const struct sighting *at = survey->first; at; at = at->next)
        n += strcmp(at->found.name, of->found.name) == 0 && at->found.version > of->found.version;
    return n;
}

static bool is_among(const struct manifest_version_policy *policy, int64_t version)
{
    for (int i = 0; i < policy->n_versions; i++)
        if (policy->versions[i] == version)
            return true;
    return false;
}

static bool is_spared(const struct survey *survey, const struct sighting *at,
                      const struct manifest_version_policy *policy)
{
    if (policy->kind == VERSIONS_LATEST)
        return n_higher(survey, at) >= policy->n_latest;
    return policy->kind == VERSIONS_SPECIFIC && !is_among(policy, at->found.version);
}

/* How many versions are served. */
static int apply_policy(struct survey *survey, const char *name, const struct manifest_version_policy *policy)
{
    int n = 0;
    for (struct sighting *at = survey->first; at; at = at->next) {
        if (strcmp(at->found.name, name) != 0)
            continue;
        at->spared = is_spared(survey, at, policy);
        n += !at->spared;
    }
    return n;
}

static bool add_label(struct survey *survey, const char *model, const struct manifest_label *label,
                      struct percept_err *err)
{
    struct survey_label *own = arena_alloc(&survey->scan.arena, sizeof *own);
    if (!own)
        return err_memory(err, "names of versions", sizeof *own);
    *own =
        (struct survey_label){.next = survey->labels, .model = model, .name = label->name, .version = label->version};
    survey->labels = own;
    return true;
}

/* One that cannot be read says nothing here; each version fails with its sentence. */
/* What cannot be read is the loader's to tell. */
static bool apply_manifest(struct survey *survey, const struct sighting *sighting, const char *home,
                           struct percept_err *err)
{
    struct percept_err why = {0};
    const char *name = sighting->found.name;
    struct beside beside = {.name = name, .path = sighting->found.path, .folder = home, .named = sighting->root->path};
    if (!beside_read(&beside, &survey->scan.arena, &why))
        return why.code != ERR_MEMORY || err_set(err, ERR_MEMORY, "%s", why.text);
    for (int i = 0; i < beside.manifest->n_version_labels; i++)
        if (!add_label(survey, name, &beside.manifest->version_labels[i], err))
            return false;
    if (apply_policy(survey, name, &beside.manifest->version_policy))
        return true;
    return scan_omit(&survey->scan, arena_printf(&survey->scan.arena, "%s/", name), home,
                     "its version_policy names versions of which none is there", err);
}

/* Each model with versions once: by the one that comes first. */
static bool is_first_version(const struct survey *survey, const struct sighting *sighting)
{
    const struct sighting *at = survey->first;
    while (at != sighting && strcmp(at->found.name, sighting->found.name) != 0)
        at = at->next;
    return at == sighting;
}

static void spare(struct survey *survey)
{
    struct sighting **at = &survey->first, *sighting;
    survey->last = NULL;
    while ((sighting = *at)) {
        if (!sighting->spared) {
            survey->last = sighting;
            at = &sighting->next;
            continue;
        }
        *at = sighting->next;
        sighting->next = survey->spared;
        survey->spared = sighting;
    }
}

/* Of the models from `first` on. */
static bool choose_versions(struct survey *survey, struct sighting *first, struct percept_err *err)
{
    for (struct sighting *at = first; at; at = at->next) {
        const char *home = is_first_version(survey, at) ? home_of(survey, at) : NULL;
        if (home && !apply_manifest(survey, at, home, err))
            return false;
    }
    spare(survey);
    return true;
}

static bool pass_over(struct survey *survey, const struct root *root, struct percept_err *err)
{
    struct unseen *unseen = arena_alloc(&survey->scan.arena, sizeof *unseen);
    if (!unseen)
        return err_memory(err, "the list of folders", sizeof *unseen);
    *unseen = (struct unseen){.next = survey->unseen, .root = root};
    survey->unseen = unseen;
    return true;
}

bool survey_root(struct survey *survey, const struct root *root, struct percept_err *err)
{
    struct scan *scan = &survey->scan;
    struct found *last = scan->last;
    struct sighting *last_sighting = survey->last;
    struct percept_err why = {0};
    bool good = scan_path(scan, root->path, &why);
    bool there = good || (file_exists(scan_place(root->path)) && err_status(why.code) < 500);
    for (struct found *found = last ? last->next : scan->first; found; found = found->next)
        if (!add(survey, root, found, err))
            return false;
    if (!choose_versions(survey, last_sighting ? last_sighting->next : survey->first, err))
        return false;
    if (!there && why.code != ERR_MEMORY && !pass_over(survey, root, err))
        return false;
    if (!good && err)
        *err = why;
    return good;
}

bool survey_saw(const struct survey *survey, const struct root *root)
{
    const struct unseen *unseen = survey->unseen;
    while (unseen && unseen->root != root)
        unseen = unseen->next;
    return !unseen;
}

void survey_free(struct survey *survey)
{
    arena_free(&survey->scan.arena);
    *survey = (struct survey){.first = NULL};
}
