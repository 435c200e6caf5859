/*
 * scan.c - what is on disk under a path that somebody wants served.
 *
 *     NAME.onnx                         a file
 *     NAME/model.onnx                   a model's folder; or the only .onnx in it, whatever its name
 *     NAME/1/model.onnx, NAME/v2/...    with versions
 *     NAME/encoder.onnx, decoder.onnx   the two of them are one model (companion.h)
 *     FOLDER/                           a folder of such files and folders
 *     NAME/config.pbtxt, manifest.json  a chain of other models, if it says so and there is no .onnx
 *     NAME=...                          any of these with one model, which gets this name
 *
 * A path on the command line is a model's folder when it has a model.onnx, or folders 1, 2, ...
 * with a model, or nothing but folders v1, 02, ... with one; else a folder of models. Within a
 * folder of models a folder is one model.
 *
 * What has one meaning is served. What somebody may have meant and has none, or several, is left
 * out with a sentence that says what would work: a name that cannot stand in a URL, a folder
 * without a model or with several, an odd version, another framework's file, a broken link. The
 * others are served. Passed over in silence: names that begin with a dot, what archivers, systems
 * and Python leave behind, folders of programs, backups beside the file itself, and all that is no
 * model's business.
 *
 * Nothing is opened but folders, and where one without a model may be a chain what would say so; no deeper than
 * versions, so links that lead in a circle do no harm. Threads: the caller's. Everything found lies in the scan's
 * arena.
 */
#include "serve/scan.h"

#include "base/err.h"
#include "base/file.h"

#include <ctype.h>
#include <string.h>

#define NAME_MAX_BYTES 128
#define VERSION_DIGITS 18
#define MODEL_FILE "model.onnx"
#define CONFIG_FILE "config.pbtxt"  /* of a repository of Triton */
#define ENCODER_FILE "encoder.onnx" /* beside it: */
#define DECODER_FILE "decoder.onnx" /* one model, which is called by the part that makes its answer */

bool scan_name(const char *name)
{
    size_t n = strlen(name);
    if (n < 1 || n > NAME_MAX_BYTES || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return false;
    return true;
}

/* --- names -------------------------------------------------------------------------------------------------------- */

/* "3", "v3", "003": the digits; NULL for what is no version's name. */
static const char *version_digits(const char *name)
{
    const char *digits = name + (*name == 'v' || *name == 'V');
    return *digits && digits[strspn(digits, "0123456789")] == '\0' ? digits : NULL;
}

/* 0 for version 0 and for what is too large. */
static int64_t version_of(const char *name)
{
    const char *digits = version_digits(name);
    int64_t version = 0;
    digits += digits ? strspn(digits, "0") : 0;
    if (!digits || strlen(digits) > VERSION_DIGITS)
        return 0;
    for (; *digits; digits++)
        version = version * 10 + (*digits - '0');
    return version;
}

int64_t scan_number(const char *name)
{
    return version_of(name);
}

/* Is it written as versions are: 1, 2, ...? */
static bool is_plain_version(const char *name)
{
    return *name >= '1' && *name <= '9' && version_of(name) > 0;
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), n_end = strlen(end);
    return n > n_end && strcasecmp(name + n - n_end, end) == 0;
}

static bool ends_in_onnx(const char *name)
{
    return ends_in(name, ".onnx");
}

/* What is nobody's model, whatever is in it. */
static bool is_litter(const char *name)
{
    static const char *const litter[] = {"lost+found", "__pycache__", "__MACOSX", "@eaDir"};
    for (size_t i = 0; i < sizeof litter / sizeof *litter; i++)
        if (strcmp(name, litter[i]) == 0)
            return true;
    return name[0] == '.';
}

static bool is_program(const char *name)
{
    return ends_in(name, ".py") || ends_in(name, ".ipynb") || ends_in(name, ".sh");
}

/* Endings of files that are no ONNX and may be meant; what each is and what would work. */
static const struct ending {
    const char *end, *what, *remedy;
} endings[] = {
    {".pt", "a PyTorch file", "export the network with torch.onnx.export"},
    {".pth", "a PyTorch file", "export the network with torch.onnx.export"},
    {".ckpt", "a checkpoint", "export the network to ONNX from the framework that trained it"},
    {".safetensors", "a safetensors file", "export the network to ONNX from the framework that trained it"},
    {".gguf", "a GGUF file", "export the network to ONNX from the framework that trained it"},
    {".h5", "a Keras or HDF5 file", "convert it with tf2onnx"},
    {".hdf5", "a Keras or HDF5 file", "convert it with tf2onnx"},
    {".keras", "a Keras file", "convert it with tf2onnx"},
    {".tflite", "a TFLite model", "convert it with tf2onnx"},
    {".pb", "a TensorFlow graph", "convert it with tf2onnx"},
    {".savedmodel", "a TensorFlow SavedModel", "convert it with tf2onnx"},
    {".graphdef", "a TensorFlow graph", "convert it with tf2onnx"},
    {".mar", "an archive of TorchServe", "export the network in it with torch.onnx.export"},
    {".pkl", "a Python pickle", "convert it with skl2onnx"},
    {".pickle", "a Python pickle", "convert it with skl2onnx"},
    {".joblib", "a Python pickle", "convert it with skl2onnx"},
    {".ort", "a model in ONNX Runtime's own format", "use the .onnx file that it was made from"},
    {".engine", "a TensorRT engine", "use the .onnx file that it was built from"},
    {".trt", "a TensorRT engine", "use the .onnx file that it was built from"},
    {".plan", "a TensorRT engine", "use the .onnx file that it was built from"},
    {".mlmodel", "a Core ML model", "export the network to ONNX from the framework that trained it"},
    {".caffemodel", "a Caffe network", "export the network to ONNX from the framework that trained it"},
    {".pdmodel", "a PaddlePaddle program", "convert it with paddle2onnx"},
    {".onnx~", "a backup", "a model's name ends in .onnx: rename it"},
    {".onnx.bak", "a backup", "a model's name ends in .onnx: rename it"},
    {".onnx.old", "a backup", "a model's name ends in .onnx: rename it"},
    {".onnx.orig", "a backup", "a model's name ends in .onnx: rename it"},
    {".onnx.tmp", "an unfinished file", "a model's name ends in .onnx: rename it when it is whole"},
    {".onnx.part", "an unfinished download", "fetch it again"},
    {".onnx.crdownload", "an unfinished download", "fetch it again"},
    {".onnx.gz", "a compressed model", "decompress it with gunzip"},
    {".onnx.xz", "a compressed model", "decompress it with unxz"},
    {".onnx.zst", "a compressed model", "decompress it with zstd -d"},
    {".onnx.bz2", "a compressed model", "decompress it with bunzip2"},
    {".onnx.zip", "an archive", "unpack it"},
    {".onnx.dvc", "a DVC pointer", "run `dvc pull` where it was cloned"},
    {".onnx.txt", "a text by its name", "a model's name ends in .onnx: rename it"},
};

static const struct ending *ending_of(const char *name)
{
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_in(name, endings[i].end))
            return &endings[i];
    return NULL;
}

/* --- folders ------------------------------------------------------------------------------------------------------ */

struct folder {
    char *path;
    char **names;
    int n;
    int n_onnx;                   /* files */
    const char *model;            /* MODEL_FILE, or the only .onnx; NULL */
    const char *first, *second;   /* of several .onnx */
    const char *foreign, *broken; /* another kind of file; an .onnx that is a link to nothing */
    const char *program;          /* "model.py": of a backend that runs programs */
    bool has_model_file, has_programs, has_config;
    bool has_encoder, has_decoder, has_manifest;
};

/* NULL is noted as memory that is short: who asks takes it for a file that is not there. */
static char *join(struct scan *scan, const char *folder, const char *name)
{
    char *path = file_join(&scan->arena, folder, name);
    scan->memory_short |= !path;
    return path;
}

static bool is_file(struct scan *scan, const char *folder, const char *name)
{
    const char *path = join(scan, folder, name);
    return path && file_exists(path) && !file_is_folder(path);
}

static bool is_broken(struct scan *scan, const char *folder, const char *name)
{
    const char *path = join(scan, folder, name);
    return path && !file_exists(path);
}

/* Is there a config.pbtxt for models in it, which may say which of several files is meant? */
static bool is_configured(struct scan *scan, const char *folder)
{
    const char *path = join(scan, folder, MODEL_FILE);
    return path && scan_config(&scan->arena, path);
}

static bool is_pair(const struct folder *folder)
{
    return folder->has_encoder && folder->has_decoder;
}

static bool list(struct scan *scan, char *path, struct folder *folder, struct percept_err *err)
{
    struct percept_err own = {0}, *why = err ? err : &own;
    *folder = (struct folder){.path = path};
    folder->n = path ? file_list(&scan->arena, path, &folder->names, why) : -1;
    scan->memory_short |= folder->n < 0 && why->code == ERR_MEMORY;
    for (int i = 0; i < folder->n; i++) {
        const char *name = folder->names[i];
        folder->has_programs |= is_program(name);
        folder->has_config |= strcmp(name, CONFIG_FILE) == 0;
        folder->has_manifest |= strcmp(name, "manifest.json") == 0;
        if (strcmp(name, "model.py") == 0)
            folder->program = name;
        if (is_litter(name))
            continue;
        if (!folder->foreign && ending_of(name))
            folder->foreign = name;
        if (ends_in_onnx(name) && !folder->broken && is_broken(scan, path, name))
            folder->broken = name;
        if (!ends_in_onnx(name) || !is_file(scan, path, name))
            continue;
        if (folder->n_onnx++ == 0)
            folder->first = folder->model = name;
        else if (folder->n_onnx == 2)
            folder->second = name;
        folder->has_model_file |= strcmp(name, MODEL_FILE) == 0;
        folder->has_encoder |= strcmp(name, ENCODER_FILE) == 0;
        folder->has_decoder |= strcmp(name, DECODER_FILE) == 0;
    }
    if (folder->has_model_file)
        folder->model = MODEL_FILE;
    else if (is_pair(folder))
        folder->model = DECODER_FILE;
    else if (folder->n_onnx > 1 && !is_configured(scan, path))
        folder->model = NULL;
    return folder->n >= 0 || (path == NULL && err_memory(err, "a path", 1));
}

/* --- results ------------------------------------------------------------------------------------------------------ */

bool scan_omit(struct scan *scan, const char *name, const char *path, const char *why, struct percept_err *err)
{
    struct omitted *omitted = arena_alloc(&scan->arena, sizeof *omitted);
    if (!omitted || !name || !path || !why)
        return err_memory(err, "the list of models", sizeof *omitted);
    *omitted = (struct omitted){.name = name, .path = path, .why = why};
    if (scan->first_omitted)
        scan->last_omitted->next = omitted;
    else
        scan->first_omitted = omitted;
    scan->last_omitted = omitted;
    return true;
}

/* Folders are shown with a slash, so that they cannot be taken for a model of that name. */
static const char *shown_folder(struct scan *scan, const char *name)
{
    return arena_printf(&scan->arena, "%s/", name);
}

static bool note(struct scan *scan, const char *name, int64_t version, char *path, char *folder, const char *shown,
                 struct percept_err *err)
{
    if (name && path && shown && !scan_name(name))
        return scan_omit(scan, shown, path,
                         arena_printf(&scan->arena,
                                      "'%.60s%s' cannot be a model's name: letters, digits, '.', '_' and '-' "
                                      "can, at most %d, the first a letter or digit; rename it",
                                      name, strlen(name) > 60 ? "..." : "", NAME_MAX_BYTES),
                         err);
    struct found *found = arena_alloc(&scan->arena, sizeof *found);
    char *own = name ? arena_text(&scan->arena, name, strlen(name)) : NULL;
    if (!found || !own || !path || !shown)
        return err_memory(err, "the list of models", sizeof *found);
    *found = (struct found){.name = own, .version = version, .path = path, .folder = folder};
    if (scan->first)
        scan->last->next = found;
    else
        scan->first = found;
    scan->last = found;
    return true;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

const char *scan_config(struct arena *arena, const char *path)
{
    const char *folder = file_dirname(arena, path);
    for (int i = 0; folder && i < 2; i++) {
        const char *config = file_join(arena, folder, CONFIG_FILE);
        if (!config || file_exists(config))
            return config;
        const char *name = file_stem(arena, folder);
        folder = name && version_of(name) > 0 ? file_dirname(arena, folder) : NULL;
    }
    return NULL;
}

/* The manifest's folder: the version's own, else the model's. */
static char *manifest_folder(struct scan *scan, char *own, char *outer)
{
    return outer && !is_file(scan, own, "manifest.json") ? outer : own;
}

static bool scan_file(struct scan *scan, const char *path, struct percept_err *err)
{
    struct arena *arena = &scan->arena;
    struct folder around;
    char *file = file_absolute(arena, path);
    char *folder = file ? file_dirname(arena, file) : NULL;
    char *stem = file ? file_stem(arena, file) : NULL;
    if (!folder || !stem)
        return err_memory(err, "a path", strlen(path));
    const char *shown = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
    if (strcasecmp(stem, "model") != 0) {
        /* The manifest beside a file of another name is its own if the file is alone there. */
        bool alone = list(scan, folder, &around, NULL) && around.n_onnx == 1;
        return note(scan, stem, 1, file, alone ? folder : NULL, shown, err);
    }
    char *inner = file_stem(arena, folder);
    int64_t version = inner && is_plain_version(inner) ? version_of(inner) : 0;
    if (!version)
        return note(scan, inner, 1, file, folder, inner ? shown_folder(scan, inner) : NULL, err);
    char *outer = file_dirname(arena, folder);
    char *name = outer ? file_stem(arena, outer) : NULL;
    return note(scan, name, version, file, manifest_folder(scan, folder, outer), name ? shown_folder(scan, name) : NULL,
                err);
}

/* --- versions ----------------------------------------------------------------------------------------------------- */

static bool holds_model(struct scan *scan, const struct folder *model, const char *name)
{
    struct folder inner;
    char *path = join(scan, model->path, name);
    return path && file_is_folder(path) && list(scan, path, &inner, NULL) && inner.model;
}

/* Has the name's version another, more plainly written folder with a model? */
static const char *plainer_twin(struct scan *scan, const struct folder *model, const char *name)
{
    const char *first = NULL;
    for (int i = 0; i < model->n; i++) {
        const char *other = model->names[i];
        if (version_of(other) != version_of(name) || (other != name && !holds_model(scan, model, other)))
            continue;
        if (is_plain_version(other))
            return other == name ? NULL : other;
        first = first ? first : other;
    }
    return first == name ? NULL : first;
}

/* What is in a folder without an .onnx, if it is of another framework; `at` is the folder as it is shown. */
static const char *why_foreign(struct scan *scan, const char *at, const struct folder *folder)
{
    const struct ending *ending = folder->foreign ? ending_of(folder->foreign) : NULL;
    if (ending)
        return arena_printf(&scan->arena, "there is no .onnx file in it; '%s%s' is %s: %s", at, folder->foreign,
                            ending->what, ending->remedy);
    if (folder->program)
        return arena_printf(&scan->arena,
                            "there is no .onnx file in it; '%s%s' is a program of a Python backend: export the network "
                            "that it runs to ONNX",
                            at, folder->program);
    return NULL;
}

static const char *why_no_version(struct scan *scan, const struct folder *model, const char *name,
                                  const struct folder *inner)
{
    const char *digits = version_digits(name);
    if (!digits)
        return "beside versions a folder is called like a version: 1, 2, ... or v1, v2, ...; "
               "rename it, or move it to the folder of models";
    if (version_of(name) == 0)
        return digits[strspn(digits, "0")] ? "a version has at most 18 digits; rename it"
                                           : "versions count from 1; rename it";
    const char *twin = plainer_twin(scan, model, name);
    if (twin)
        return arena_printf(&scan->arena, "'%s' is version %lld too, and is served; rename one", twin,
                            (long long)version_of(name));
    if (inner->model)
        return NULL;
    if (inner->n_onnx)
        return "it holds several .onnx files and none is called model.onnx; rename the one that is meant";
    const char *foreign = why_foreign(scan, "", inner);
    return foreign ? foreign : "there is no .onnx file in it: a version's is called model.onnx";
}

/* A subfolder of a model's folder. */
static bool scan_version(struct scan *scan, struct folder *model, const char *name, const char *version,
                         struct percept_err *err)
{
    struct arena *arena = &scan->arena;
    struct folder inner;
    char *path = file_join(arena, model->path, version);
    if (!path || !file_is_folder(path))
        return path ? true : err_memory(err, "a path", strlen(version));
    struct percept_err unreadable = {0};
    if (!list(scan, path, &inner, &unreadable) && unreadable.code == ERR_MEMORY)
        return err_memory(err, "a list of names", strlen(version));
    const char *why = why_no_version(scan, model, version, &inner);
    if (!why)
        return note(scan, name, version_of(version), file_join(arena, path, inner.model),
                    manifest_folder(scan, path, model->path), shown_folder(scan, name), err);
    if (!version_digits(version) && !inner.model)
        return true; /* labels, pictures, whatever */
    return scan_omit(scan, arena_printf(arena, "%s/%s/", name, version), path, why, err);
}

/* How many subfolders hold a model, of which names. */
struct versions {
    int n_plain, n_odd, n_others; /* "1"; "v1" and "01"; "latest" */
    const char *other;
};

static bool count_versions(struct scan *scan, const struct folder *model, struct versions *versions)
{
    *versions = (struct versions){.n_plain = 0};
    for (int i = 0; i < model->n; i++) {
        const char *name = model->names[i];
        if (is_litter(name) || !holds_model(scan, model, name))
            continue;
        if (is_plain_version(name))
            versions->n_plain++;
        else if (version_digits(name))
            versions->n_odd++;
        else if (versions->n_others++ == 0)
            versions->other = name;
    }
    return versions->n_plain + versions->n_odd > 0;
}

static bool scan_versions(struct scan *scan, struct folder *model, const char *name, struct percept_err *err)
{
    for (int i = 0; i < model->n; i++)
        if (!is_litter(model->names[i]) && !scan_version(scan, model, name, model->names[i], err))
            return false;
    return true;
}

/* --- chains ------------------------------------------------------------------------------------------------------- */

#define CHAIN_MAX_BYTES ((size_t)1 << 20)

/* Does the file speak of stages? Whether it can be served the loader says, who reads it. */
static bool says(const char *path, const char *word)
{
    struct bytes text;
    struct file_stamp stamp;
    if (!path || !file_exists(path) || !file_read(path, CHAIN_MAX_BYTES, &text, &stamp, NULL))
        return false;
    const bool found = bytes_size(text) && memmem(text.at, bytes_size(text), word, strlen(word));
    arena_buffer_free((void *)(uintptr_t)text.at);
    return found;
}

/* A chain has no .onnx: what says its stages is its file. NULL: it is none. */
static char *chain_file(struct scan *scan, const struct folder *folder)
{
    char *config = folder->n_onnx ? NULL : join(scan, folder->path, CONFIG_FILE);
    if (says(config, "ensemble_scheduling"))
        return config;
    char *manifest = folder->n_onnx ? NULL : join(scan, folder->path, "manifest.json");
    return says(manifest, "\"stages\"") ? manifest : NULL;
}

/* Its version is the highest folder's that is called like one, as repositories of Triton have them, empty. */
static bool note_chain(struct scan *scan, const struct folder *folder, const char *name, char *file,
                       struct percept_err *err)
{
    int64_t version = 1;
    for (int i = 0; i < folder->n; i++)
        if (is_plain_version(folder->names[i]) && version_of(folder->names[i]) > version)
            version = version_of(folder->names[i]);
    return note(scan, name, version, file, folder->path, shown_folder(scan, name), err);
}

/* --- a folder within a folder of models --------------------------------------------------------------------------- */

/* The same of its highest version. */
static const char *why_versions_foreign(struct scan *scan, const struct folder *folder)
{
    struct folder inner;
    const char *highest = NULL;
    for (int i = 0; i < folder->n; i++)
        if (version_of(folder->names[i]) > (highest ? version_of(highest) : 0))
            highest = folder->names[i];
    char *path = highest ? join(scan, folder->path, highest) : NULL;
    if (!path || !file_is_folder(path) || !list(scan, path, &inner, NULL))
        return NULL;
    const char *at = shown_folder(scan, highest);
    return at ? why_foreign(scan, at, &inner) : NULL;
}

static const char *why_no_model(struct scan *scan, const struct folder *folder, const struct versions *versions)
{
    struct arena *arena = &scan->arena;
    if (!folder->n)
        return "it is empty: put model.onnx in it, or remove it";
    if (folder->n_onnx > 1)
        return arena_printf(arena,
                            "it holds %d .onnx files ('%s', '%s'%s) and none is called model.onnx: rename "
                            "the one that is meant, or name the files on the command line",
                            folder->n_onnx, folder->first, folder->second, folder->n_onnx > 2 ? ", ..." : "");
    if (versions->other)
        return arena_printf(arena,
                            "there is no model in it but further down, in '%s': move it up, or name the "
                            "folder around it on the command line",
                            versions->other);
    if (folder->broken)
        return arena_printf(arena,
                            "'%s' in it is a symbolic link that leads nowhere: fetch what it "
                            "leads to (`git annex get` in a clone of git-annex)",
                            folder->broken);
    const char *foreign = why_foreign(scan, "", folder);
    if (!foreign)
        foreign = why_versions_foreign(scan, folder);
    if (foreign)
        return foreign;
    if (folder->has_config)
        return "there is a config.pbtxt and no model: expected versions such as 1/model.onnx, or ensemble_scheduling";
    return "there is no model in it: expected model.onnx, one .onnx file, or versions such as "
           "1/model.onnx";
}

/* What the system said, without the path. */
static const char *why_unreadable(struct scan *scan, const struct percept_err *why)
{
    const char *cause = strrchr(why->text, ':');
    return arena_printf(&scan->arena, "it cannot be read%s; let the daemon's user read it", cause ? cause : "");
}

/* Manifests of models that are kept elsewhere: as in models/gallery. */
static bool is_gallery(struct scan *scan, const struct folder *folder)
{
    bool any = false;
    for (int i = 0; i < folder->n; i++) {
        char *path = join(scan, folder->path, folder->names[i]);
        char *manifest = path && file_is_folder(path) ? join(scan, path, "manifest.json") : NULL;
        if (!manifest || !file_exists(manifest))
            return false;
        any = true;
    }
    return any;
}

static bool scan_inner(struct scan *scan, const char *root, char *path, const char *entry, struct percept_err *err)
{
    struct folder folder;
    struct versions versions;
    struct percept_err why = {0};
    struct arena *arena = &scan->arena;
    const char *shown = shown_folder(scan, entry);
    char *name = file_stem(arena, entry);
    if (!shown || !name)
        return err_memory(err, "a name", strlen(entry));
    if (file_encloses(path, root))
        return scan_omit(scan, shown, path, "it is a link back to where it lies: remove it", err);
    if (!list(scan, path, &folder, &why))
        return why.code == ERR_MEMORY ? err_memory(err, "a list of names", strlen(entry))
                                      : scan_omit(scan, shown, path, why_unreadable(scan, &why), err);
    if (folder.has_model_file)
        return note(scan, name, 1, file_join(arena, path, MODEL_FILE), path, shown, err);
    if (count_versions(scan, &folder, &versions))
        return scan_versions(scan, &folder, name, err);
    if (folder.model)
        return note(scan, name, 1, file_join(arena, path, folder.model), path, shown, err);
    char *chain = chain_file(scan, &folder);
    if (chain)
        return note_chain(scan, &folder, name, chain, err);
    if (!folder.has_config && !folder.n_onnx && !versions.other && (folder.has_programs || is_gallery(scan, &folder)))
        return true;
    return scan_omit(scan, shown, path, why_no_model(scan, &folder, &versions), err);
}

/* --- a folder of models ------------------------------------------------------------------------------------------- */

/* Is there an .onnx called like the file up to the ending's dot? */
static bool has_original(const struct folder *folder, const char *name, const struct ending *ending)
{
    size_t n = strlen(name) - strlen(ending->end);
    for (int i = 0; i < folder->n; i++)
        if (strncmp(folder->names[i], name, n) == 0 && strcasecmp(folder->names[i] + n, ".onnx") == 0)
            return true;
    return false;
}

static bool scan_entry(struct scan *scan, const struct folder *root, const char *name, struct percept_err *err)
{
    struct arena *arena = &scan->arena;
    char *path = file_join(arena, root->path, name);
    if (!path)
        return err_memory(err, "a path", strlen(name));
    if (!file_exists(path))
        return scan_omit(scan, name, path, "it is a symbolic link that leads nowhere: mend or remove it", err);
    if (file_is_folder(path))
        return scan_inner(scan, root->path, path, name, err);
    if (ends_in_onnx(name))
        return scan_file(scan, path, err);
    const struct ending *ending = ending_of(name);
    if (!ending || has_original(root, name, ending))
        return true;
    return scan_omit(scan, name, path, arena_printf(arena, "it is %s, not ONNX: %s", ending->what, ending->remedy),
                     err);
}

/* A folder that was named. */
static bool scan_folder(struct scan *scan, const char *path, struct percept_err *err)
{
    struct folder folder;
    struct versions versions;
    char *own = file_absolute(&scan->arena, path);
    char *name = own ? file_stem(&scan->arena, own) : NULL;
    if (!name)
        return err_memory(err, "a path", strlen(path));
    if (!list(scan, own, &folder, err))
        return false;
    if (folder.has_model_file || (is_pair(&folder) && folder.has_manifest))
        return note(scan, name, 1, file_join(&scan->arena, own, folder.model), own, shown_folder(scan, name), err);
    if (count_versions(scan, &folder, &versions) && (versions.n_plain || (!versions.n_others && !folder.n_onnx)))
        return scan_versions(scan, &folder, name, err);
    char *chain = chain_file(scan, &folder);
    if (chain)
        return note_chain(scan, &folder, name, chain, err);
    for (int i = 0; i < folder.n; i++)
        if (!is_litter(folder.names[i]) && !scan_entry(scan, &folder, folder.names[i], err))
            return false;
    return true;
}

/* --- what was found ----------------------------------------------------------------------------------------------- */

const char *scan_form(const char *name, const char *path, bool configured)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    const char *outer = slash ? memrchr(path, '/', (size_t)(slash - path)) : NULL;
    char folder[NAME_MAX_BYTES + 1] = "";
    const size_t n = outer ? (size_t)(slash - outer - 1) : 0;
    if (n && n < sizeof folder)
        memcpy(folder, outer + 1, n);
    if (version_of(folder) > 0)
        return configured ? "numbered versions with a config.pbtxt" : "numbered versions";
    if (strcasecmp(file, MODEL_FILE) != 0 && strcmp(folder, name) != 0)
        return configured ? "a file with a config.pbtxt" : "a file";
    return configured ? "a folder of one model with a config.pbtxt" : "a folder of one model";
}

bool scan_is_only(const char *path)
{
    struct scan scan = {0};
    struct folder folder;
    char *around = file_dirname(&scan.arena, path);
    const bool only = !around || !list(&scan, around, &folder, NULL) || folder.n_onnx < 2 || folder.has_model_file ||
                      is_pair(&folder);
    arena_free(&scan.arena);
    return only;
}

/* A path on the command line that gives nothing: told to the caller, and kept beside the rest. */
static bool refuse_path(struct scan *scan, const char *path, bool is_folder, const char *why, enum err_code code,
                        struct percept_err *err)
{
    char *own = file_absolute(&scan->arena, path);
    const char *slash = own ? strrchr(own, '/') : NULL, *name = slash ? slash + 1 : own;
    if (!own || !scan_omit(scan, is_folder ? shown_folder(scan, name) : name, own, why, err))
        return err_memory(err, "the list of models", strlen(path));
    return err_set(err, code, "'%s': %s", path, why);
}

/* Neither a folder nor a file that ends in .onnx. */
static bool refuse_file(struct scan *scan, const char *path, struct percept_err *err)
{
    const struct ending *ending = ending_of(path);
    const char *why = "it is neither an .onnx file nor a folder";
    if (ending)
        why = arena_printf(&scan->arena, "it is neither an .onnx file nor a folder but %s: %s", ending->what,
                           ending->remedy);
    return refuse_path(scan, path, false, why, ERR_INVALID, err);
}

/* A path without a name. */
static bool scan_unnamed(struct scan *scan, const char *path, struct percept_err *err)
{
    if (!file_exists(path))
        return refuse_path(scan, path, false, "there is nothing at this path", ERR_NOT_FOUND, err);
    const struct found *last = scan->last;
    const struct omitted *last_omitted = scan->last_omitted;
    struct percept_err why = {0};
    bool is_folder = file_is_folder(path);
    if (!is_folder && !ends_in_onnx(path))
        return refuse_file(scan, path, err);
    const bool good = is_folder ? scan_folder(scan, path, &why) : scan_file(scan, path, &why);
    if (scan->memory_short)
        return err_memory(err, "the list of models", strlen(path));
    if (!good) {
        if (err)
            *err = why;
        return why.code != ERR_MEMORY && refuse_path(scan, path, is_folder, why_unreadable(scan, &why), why.code, err);
    }
    if (scan->last != last)
        return true;
    const struct omitted *omitted = last_omitted ? last_omitted->next : scan->first_omitted;
    if (omitted && !is_folder)
        return err_set(err, ERR_INVALID, "'%s': %s", path, omitted->why);
    if (omitted)
        return err_set(err, ERR_NOT_FOUND, "there is no model in '%s': %s: %s", path, omitted->name, omitted->why);
    return refuse_path(scan, path, true,
                       "there is no model in it: expected model.onnx, versions such as 1/model.onnx, or "
                       "folders with these",
                       ERR_NOT_FOUND, err);
}

/* --- a name that was given ---------------------------------------------------------------------------------------- */

const char *scan_place(const char *path)
{
    const char *equals = strchr(path, '=');
    bool plain = !equals || equals == path || memchr(path, '/', (size_t)(equals - path)) || file_exists(path);
    return plain ? path : equals + 1;
}

/* "NAME=PATH" -> PATH and NAME; any other text, and a file that is called so, is a path. */
static const char *path_behind_name(struct scan *scan, const char *path, char **name)
{
    const char *place = scan_place(path);
    *name = NULL;
    if (place == path)
        return path;
    *name = arena_text(&scan->arena, path, (size_t)(place - path) - 1);
    scan->memory_short |= !*name;
    return place;
}

/* The models of `first` and behind it, which must be one, get the name. */
static bool give_name(struct scan *scan, struct found *first, const char *name, const char *path,
                      struct percept_err *err)
{
    for (const struct found *found = first; found; found = found->next)
        if (strcmp(found->name, first->name) != 0) {
            const char *why = arena_printf(&scan->arena,
                                           "there are several models in it ('%s', '%s'): a name can be given to one; "
                                           "name its folder or file, or leave the name out",
                                           first->name, found->name);
            return refuse_path(scan, path, true, why ? why : "there are several models in it", ERR_INVALID, err);
        }
    for (struct found *found = first; found; found = found->next)
        found->name = name;
    return true;
}

/* What was found since `last` is taken back. */
static void forget_since(struct scan *scan, struct found *last)
{
    scan->last = last;
    if (last)
        last->next = NULL;
    else
        scan->first = NULL;
}

bool scan_path(struct scan *scan, const char *path, struct percept_err *err)
{
    char *name;
    const char *place = path_behind_name(scan, path, &name);
    if (scan->memory_short)
        return err_memory(err, "a name", strlen(path));
    if (!name)
        return scan_unnamed(scan, path, err);
    if (!scan_name(name))
        return err_set(err, ERR_INVALID,
                       "'%s': a model's name has 1 to 128 letters, digits, '.', '_' or '-' and begins with a letter or "
                       "digit",
                       path);
    struct found *last = scan->last;
    if (!scan_unnamed(scan, place, err))
        return false;
    if (give_name(scan, last ? last->next : scan->first, name, place, err))
        return true;
    forget_since(scan, last);
    return false;
}
