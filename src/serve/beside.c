/*
 * beside.c - reads what lies beside a model's file, in the order of its weight: config.pbtxt, where there is one, then
 * manifest.json over it. A file among others of a folder has neither.
 *
 * A config.pbtxt may say a name, which must be that of its folder, as in Triton, since one of them is a mistake. Not so
 * where somebody had this very folder served, a mount that is called as it happens (/mnt/models), or gave the model its
 * name. A configuration that comes with a request to load the model is instead of the file. And it may say which file
 * of its folder is the model, and has to where several lie there (scan.c lets them pass for that).
 *
 * Threads: a loader's.
 */
#include "serve/beside.h"

#include "base/err.h"
#include "base/file.h"
#include "serve/scan.h"
#include "serve/triton_config.h"

#include <string.h>

/* "NAME=PATH" */
static bool is_given(const char *named, const char *name)
{
    const size_t n = strlen(name);
    return strncmp(named, name, n) == 0 && named[n] == '=';
}

static bool name_fits(const struct beside *beside, struct arena *arena, struct percept_err *err)
{
    const char *name = beside->manifest->model_name;
    if (!name || !*name || strcmp(name, beside->name) == 0)
        return true;
    const char *folder = file_dirname(arena, beside->config);
    if (!folder)
        return err_memory(err, "a path", strlen(beside->config));
    if (beside->named && (is_given(beside->named, beside->name) || file_encloses(folder, beside->named)))
        return true;
    return err_set(err, ERR_CONFIG,
                   "%s: unexpected directory name '%s' for model '%s', directory name must equal model name",
                   beside->config, beside->name, name);
}

static bool find_file(struct beside *beside, struct arena *arena, struct percept_err *err)
{
    const char *name = beside->manifest->model_file;
    if (!name && beside->config && !scan_is_only(beside->path))
        return err_set(err, ERR_CONFIG,
                       "%s: there are several .onnx files and none is called model.onnx: say which by "
                       "default_model_filename",
                       beside->config);
    beside->file = beside->path;
    if (!name)
        return true;
    const char *folder = file_dirname(arena, beside->path);
    beside->file = folder ? file_join(arena, folder, name) : NULL;
    return beside->file || err_memory(err, "a path", strlen(beside->path));
}

const char *beside_file(const char *path, const char *folder, struct arena *arena, struct percept_err *err)
{
    struct percept_err why = {0};
    struct beside beside = {.path = path, .config = folder ? scan_config(arena, path) : NULL};
    if (!beside.config)
        return path;
    beside.manifest = triton_config_read(beside.config, NULL, arena, &why);
    if (!beside.manifest && scan_is_only(path))
        return path;
    if (!beside.manifest && err)
        *err = why;
    return beside.manifest && find_file(&beside, arena, err) ? beside.file : NULL;
}

bool beside_read(struct beside *beside, struct arena *arena, struct percept_err *err)
{
    beside->config = beside->folder && !beside->overridden ? scan_config(arena, beside->path) : NULL;
    beside->manifest = beside->config ? triton_config_read(beside->config, beside->folder, arena, err)
                                      : manifest_read(beside->folder, arena, err);
    return beside->manifest && name_fits(beside, arena, err) && find_file(beside, arena, err);
}
