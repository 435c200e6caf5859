/* scan.c - what is found on disk and how it is called. */
#include "serve/scan.h"

#include "base/err.h"
#include "base/file.h"
#include "folder.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Suite *serve_scan_suite(void);

static struct arena arena;
static struct scan scan;
static struct percept_err err;

static int n_expected;

static void begin(void)
{
    folder_begin("scan");
    scan = (struct scan){0};
    n_expected = 0;
    err = (struct percept_err){0};
}

static void end(void)
{
    folder_end();
    arena_free(&scan.arena);
    arena_free(&arena);
}

static void add(const char *name)
{
    ck_assert_msg(scan_path(&scan, folder_at(name), &err), "%s", err.text);
}

static void expect_refused(const char *path, int code, const char *says)
{
    struct scan own = {0};
    ck_assert(!scan_path(&own, path, &err));
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.text, says) != NULL, "%s", err.text);
    arena_free(&own.arena);
}

static void expect(const struct found *found, const char *name, int64_t version)
{
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found->name, name);
    ck_assert_int_eq(found->version, version);
    ck_assert(file_exists(found->path));
}

static void expect_manifest(const struct found *found, const char *folder)
{
    ck_assert_ptr_nonnull(found);
    if (!folder)
        ck_assert_ptr_null(found->folder);
    else
        ck_assert_str_eq(found->folder, file_absolute(&arena, folder_at(folder)));
}

static void expect_only(const char *name, int64_t version)
{
    expect(scan.first, name, version);
    ck_assert_msg(!scan.first->next, "and %s", scan.first->next ? scan.first->next->name : "");
}

/* Is it named once, with these words and without a path of this host? */
static void expect_omitted(const char *name, const char *says)
{
    int n = 0;
    for (const struct omitted *at = scan.first_omitted; at; at = at->next) {
        if (strcmp(at->name, name) != 0)
            continue;
        n++;
        ck_assert_msg(strstr(at->why, says) != NULL, "%s: %s", name, at->why);
        ck_assert_msg(!strstr(at->why, folder_root), "%s: %s", name, at->why);
    }
    ck_assert_msg(n == 1, "%s: %d times", name, n);
    n_expected++;
}

static void expect_no_more_omitted(void)
{
    int n = 0;
    for (const struct omitted *at = scan.first_omitted; at; at = at->next)
        n++;
    ck_assert_msg(n == n_expected, "%d, not %d, are left out: the last is %s: %s", n, n_expected,
                  scan.last_omitted ? scan.last_omitted->name : "", scan.last_omitted ? scan.last_omitted->why : "");
}

START_TEST(a_file_is_called_like_itself)
{
    folder_files("my-model.onnx");
    add("my-model.onnx");
    expect(scan.first, "my-model", 1);
    ck_assert_ptr_null(scan.first->next);
}
END_TEST

START_TEST(model_onnx_is_called_like_its_folder_or_that_of_its_versions)
{
    folder_files("cats/model.onnx");
    add("cats/model.onnx");
    folder_files("dogs/7/model.onnx");
    add("dogs/7/model.onnx");
    expect(scan.first, "cats", 1);
    expect(scan.first->next, "dogs", 7);
}
END_TEST

START_TEST(a_models_folder_holds_a_model_or_versions)
{
    folder_files("many/1/model.onnx", "many/12/model.onnx", "many/3/model.onnx", "many/4/other.onnx",
                 "many/05/model.onnx", "many/x6/model.onnx");
    add("many");
    folder_files("plain/model.onnx");
    add("plain");
    const struct found *found = scan.first;
    const int64_t versions[] = {5, 1, 12, 3, 4}; /* as the folder is read */
    for (int i = 0; i < 5; i++, found = found->next)
        expect(found, "many", versions[i]);
    expect(found, "plain", 1);
    ck_assert_ptr_null(found->next);
    expect_omitted("many/x6/", "is called like a version");
    expect_no_more_omitted();
}
END_TEST

START_TEST(a_config_lies_beside_the_model_or_its_versions)
{
    static const struct {
        const char *model, *config; /* NULL: none speaks of it */
    } rows[] = {{"a/1/model.onnx", "a/config.pbtxt"},
                {"a/v2/model.onnx", "a/config.pbtxt"},
                {"a/model.onnx", "a/config.pbtxt"},
                {"b/1/model.onnx", "b/1/config.pbtxt"},
                {"b/2/model.onnx", "b/config.pbtxt"},
                {"a/latest/model.onnx", NULL},
                {"c/1/model.onnx", NULL}};
    folder_files("a/config.pbtxt", "b/config.pbtxt", "b/1/config.pbtxt", "config.pbtxt");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *config = scan_config(&arena, folder_at(rows[i].model));
        if (rows[i].config)
            ck_assert_str_eq(config, folder_at(rows[i].config));
        else
            ck_assert_ptr_null(config);
    }
}
END_TEST

/* Folders as others write them: what is found when `argument` is served. */
static const struct {
    const char *files[8];
    const char *argument;
    struct {
        const char *name;
        int64_t version;
        const char *file, *form;
    } found[3]; /* in the order of finding */
    const char *omitted, *says;
} forms[] = {
    /* a storage initializer of KServe, in its three forms */
    {{"mnt/models/model.onnx"},
     "mnt/models",
     {{"models", 1, "mnt/models/model.onnx", "a folder of one model"}},
     NULL,
     NULL},
    {{"mnt/models/1/model.onnx"},
     "mnt/models",
     {{"models", 1, "mnt/models/1/model.onnx", "numbered versions"}},
     NULL,
     NULL},
    {{"mnt/models/net/1/model.onnx", "mnt/models/net/2/model.onnx", "mnt/models/other/model.onnx"},
     "mnt/models",
     {{"net", 1, "mnt/models/net/1/model.onnx", "numbered versions"},
      {"net", 2, "mnt/models/net/2/model.onnx", "numbered versions"},
      {"other", 1, "mnt/models/other/model.onnx", "a folder of one model"}},
     NULL,
     NULL},
    {{"mnt/models/net.onnx"}, "mnt/models", {{"net", 1, "mnt/models/net.onnx", "a file"}}, NULL, NULL},
    {{"mnt/models/model.onnx", "mnt/models/config.pbtxt"},
     "mnt/models",
     {{"models", 1, "mnt/models/model.onnx", "a folder of one model with a config.pbtxt"}},
     NULL,
     NULL},
    {{"mnt/models/1/model.onnx", "mnt/models/config.pbtxt"},
     "mnt/models",
     {{"models", 1, "mnt/models/1/model.onnx", "numbered versions with a config.pbtxt"}},
     NULL,
     NULL},
    /* a repository of Triton, and one model of it */
    {{"repo/a/config.pbtxt", "repo/a/1/model.onnx", "repo/b/config.pbtxt", "repo/b/2/model.onnx"},
     "repo",
     {{"a", 1, "repo/a/1/model.onnx", "numbered versions with a config.pbtxt"},
      {"b", 2, "repo/b/2/model.onnx", "numbered versions with a config.pbtxt"}},
     NULL,
     NULL},
    {{"repo/a/config.pbtxt", "repo/a/labels.txt", "repo/a/1/model.onnx"},
     "repo/a",
     {{"a", 1, "repo/a/1/model.onnx", "numbered versions with a config.pbtxt"}},
     NULL,
     NULL},
    {{"repo/a/config.pbtxt", "repo/a/1/net.onnx"},
     "repo",
     {{"a", 1, "repo/a/1/net.onnx", "numbered versions with a config.pbtxt"}},
     NULL,
     NULL},
    {{"repo/a/config.pbtxt", "repo/a/1/x.onnx", "repo/a/1/y.onnx"},
     "repo",
     {{"a", 1, "repo/a/1/x.onnx", "numbered versions with a config.pbtxt"}},
     NULL,
     NULL},
    {{"repo/good/1/model.onnx", "repo/rt/config.pbtxt", "repo/rt/1/model.plan"},
     "repo",
     {{"good", 1, "repo/good/1/model.onnx", "numbered versions"}},
     "rt/",
     "there is no .onnx file in it; '1/model.plan' is a TensorRT engine: use the .onnx file"},
    {{"repo/good/1/model.onnx", "repo/tf/config.pbtxt", "repo/tf/1/x", "repo/tf/3/model.savedmodel/saved_model.pb"},
     "repo",
     {{"good", 1, "repo/good/1/model.onnx", "numbered versions"}},
     "tf/",
     "'3/model.savedmodel' is a TensorFlow SavedModel: convert it with tf2onnx"},
    {{"repo/good/1/model.onnx", "repo/py/config.pbtxt", "repo/py/1/model.py"},
     "repo",
     {{"good", 1, "repo/good/1/model.onnx", "numbered versions"}},
     "py/",
     "'1/model.py' is a program of a Python backend: export the network"},
    {{"repo/good/1/model.onnx", "repo/pt/config.pbtxt", "repo/pt/1/model.pt"},
     "repo",
     {{"good", 1, "repo/good/1/model.onnx", "numbered versions"}},
     "pt/",
     "'1/model.pt' is a PyTorch file: export the network"},
    {{"repo/good/1/model.onnx", "repo/chain/config.pbtxt", "repo/chain/1/.keep"},
     "repo",
     {{"good", 1, "repo/good/1/model.onnx", "numbered versions"}},
     "chain/",
     "there is a config.pbtxt and no model: expected versions such as 1/model.onnx, or ensemble_scheduling"},
    {{"repo/good/config.pbtxt", "repo/good/1/model.onnx", "repo/good/2/model.plan"},
     "repo",
     {{"good", 1, "repo/good/1/model.onnx", "numbered versions with a config.pbtxt"}},
     "good/2/",
     "there is no .onnx file in it; 'model.plan' is a TensorRT engine"},
    /* TF Serving's numbered versions */
    {{"m/1/model.onnx", "m/20/model.onnx"},
     "m",
     {{"m", 1, "m/1/model.onnx", "numbered versions"}, {"m", 20, "m/20/model.onnx", "numbered versions"}},
     NULL,
     NULL},
    {{"base/m/1/model.onnx", "base/old/1/saved_model.pb", "base/old/1/variables/variables.index"},
     "base",
     {{"m", 1, "base/m/1/model.onnx", "numbered versions"}},
     "old/",
     "'1/saved_model.pb' is a TensorFlow graph: convert it with tf2onnx"},
    /* TorchServe's store, and a bare folder */
    {{"store/net.mar", "store/net2.onnx"},
     "store",
     {{"net2", 1, "store/net2.onnx", "a file"}},
     "net.mar",
     "it is an archive of TorchServe, not ONNX: export the network in it with torch.onnx.export"},
    {{"bare/a.onnx", "bare/b.onnx", "bare/config.pbtxt"},
     "bare",
     {{"a", 1, "bare/a.onnx", "a file"}, {"b", 1, "bare/b.onnx", "a file"}},
     NULL,
     NULL},
};

START_TEST(folders_are_taken_as_others_write_them)
{
    folder_put_all(forms[_i].files);
    add(forms[_i].argument);
    const struct found *found = scan.first;
    for (int i = 0; i < 3 && forms[_i].found[i].name; i++, found = found->next) {
        expect(found, forms[_i].found[i].name, forms[_i].found[i].version);
        ck_assert_str_eq(found->path, folder_at(forms[_i].found[i].file));
        const bool configured = found->folder && scan_config(&arena, found->path);
        ck_assert_str_eq(scan_form(found->name, found->path, configured), forms[_i].found[i].form);
    }
    ck_assert_ptr_null(found);
    if (forms[_i].omitted)
        expect_omitted(forms[_i].omitted, forms[_i].says);
    expect_no_more_omitted();
}
END_TEST

START_TEST(of_several_files_none_is_the_only_one)
{
    folder_files("a/x.onnx", "a/y.onnx", "b/x.onnx", "c/model.onnx", "c/x.onnx");
    ck_assert(!scan_is_only(folder_at("a/x.onnx")));
    ck_assert(scan_is_only(folder_at("b/x.onnx")));
    ck_assert(scan_is_only(folder_at("c/model.onnx")));
    ck_assert(scan_is_only(folder_at("none/x.onnx")));
}
END_TEST

START_TEST(an_encoder_and_a_decoder_are_one_model)
{
    folder_files("repo/g2p/encoder.onnx", "repo/g2p/decoder.onnx", "repo/g2p/other.onnx", "repo/v/1/encoder.onnx",
                 "repo/v/1/decoder.onnx", "alone/encoder.onnx", "alone/decoder.onnx", "alone/manifest.json",
                 "two/encoder.onnx", "two/decoder.onnx");
    add("repo");
    expect(scan.first, "g2p", 1);
    ck_assert_str_eq(scan.first->path, file_absolute(&arena, folder_at("repo/g2p/decoder.onnx")));
    expect_manifest(scan.first, "repo/g2p");
    expect(scan.first->next, "v", 1);
    ck_assert(scan_is_only(folder_at("repo/g2p/decoder.onnx")));
    add("alone");
    expect(scan.last, "alone", 1);
    add("two"); /* without a manifest, named itself: a folder of models */
    expect(scan.last, "encoder", 1);
}
END_TEST

START_TEST(files_of_which_none_is_the_model_are_named)
{
    folder_files("repo/good.onnx", "repo/two/a.onnx", "repo/two/b.onnx", "repo/three/a.onnx", "repo/three/b.onnx",
                 "repo/three/c.onnx");
    add("repo");
    expect_only("good", 1);
    expect_omitted("three/", "it holds 3 .onnx files ('a.onnx', 'b.onnx', ...) and none is called model.onnx");
    expect_omitted("two/", "it holds 2 .onnx files ('a.onnx', 'b.onnx') and none is called model.onnx");
    expect_no_more_omitted();
}
END_TEST

START_TEST(a_name_that_cannot_be_leaves_the_others)
{
    folder_files("repo/good.onnx", "repo/best (1).onnx", "repo/caf\xc3\xa9.onnx", "repo/_x/model.onnx",
                 "repo/a=b/1/model.onnx", "repo/bad\xff.onnx", "repo/new\nline.onnx");
    char name[160] = "repo/";
    memset(name + 5, 'l', 130);
    strcpy(name + 135, ".onnx");
    folder_files(name);
    add("repo");
    expect_only("good", 1);
    expect_omitted("best (1).onnx", "'best (1)' cannot be a model's name");
    expect_omitted("caf\xc3\xa9.onnx", "rename it");
    expect_omitted("_x/", "rename it");
    expect_omitted("a=b/", "rename it");
    expect_omitted("bad\xff.onnx", "rename it");
    expect_omitted("new\nline.onnx", "rename it");
    expect_omitted(name + 5, "at most 128");
    expect_no_more_omitted();
}
END_TEST

START_TEST(what_has_one_meaning_is_served)
{
    folder_files("repo/UPPER.ONNX", "repo/net/resnet.onnx", "repo/loud/MODEL.ONNX", "repo/ver/v1/model.onnx",
                 "repo/ver/V2/net.onnx", "repo/zeros/007/model.onnx", "repo/Case.onnx", "repo/case.onnx");
    folder_text("repo/net/manifest.json", "{}");
    add("repo");
    static const struct {
        const char *name;
        int64_t version;
    } want[] = {{"Case", 1}, {"UPPER", 1}, {"case", 1}, {"loud", 1}, {"net", 1}, {"ver", 2}, {"ver", 1}, {"zeros", 7}};
    const struct found *found = scan.first;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++, found = found->next) {
        expect(found, want[i].name, want[i].version);
        if (strcmp(found->name, "net") == 0)
            expect_manifest(found, "repo/net");
    }
    ck_assert_ptr_null(found);
    expect_no_more_omitted();
}
END_TEST

START_TEST(a_folder_of_versions_means_the_same_named_alone)
{
    folder_files("net/v1/model.onnx", "net/v2/model.onnx");
    add("net");
    expect(scan.first, "net", 1);
    expect(scan.last, "net", 2);
    scan.first = scan.last = NULL;
    folder_files("mixed/v1/model.onnx", "mixed/other/model.onnx"); /* two models, then */
    add("mixed");
    expect(scan.first, "other", 1);
    expect(scan.last, "v1", 1);
    expect_no_more_omitted();
}
END_TEST

START_TEST(what_has_no_meaning_or_several_is_left_out_with_what_would_work)
{
    folder_files("repo/good.onnx", "repo/two/a.onnx", "repo/two/b.onnx", "repo/notes/readme.txt", "repo/torch/net.pt",
                 "repo/keras/net.h5", "repo/lite.tflite", "repo/deep/er/model.onnx", "repo/part/net.onnx.part",
                 "repo/dvc/model.onnx.dvc", "repo/annex/x.txt", "repo/old.onnx~", "repo/gz.onnx.gz");
    mkdir(folder_at("repo/empty"), 0700);
    mkdir(folder_at("repo/folder"), 0700);
    mkdir(folder_at("repo/folder/model.onnx"), 0700);
    ck_assert_int_eq(symlink("../.git/annex/x", folder_at("repo/annex/model.onnx")), 0);
    add("repo");
    expect_only("good", 1);
    expect_omitted("dvc/", "dvc pull");
    expect_omitted("annex/", "'model.onnx' in it is a symbolic link that leads nowhere");
    expect_omitted("two/", "2 .onnx files ('a.onnx', 'b.onnx') and none is called model.onnx: rename");
    expect_omitted("notes/", "expected model.onnx");
    expect_omitted("torch/", "'net.pt' is a PyTorch file: export the network with torch.onnx.export");
    expect_omitted("keras/", "tf2onnx");
    expect_omitted("lite.tflite", "a TFLite model, not ONNX");
    expect_omitted("deep/", "further down, in 'er'");
    expect_omitted("part/", "unfinished download");
    expect_omitted("old.onnx~", "a backup");
    expect_omitted("gz.onnx.gz", "gunzip");
    expect_omitted("empty/", "it is empty");
    expect_omitted("folder/", "expected model.onnx");
    expect_no_more_omitted();
}
END_TEST

START_TEST(versions_that_are_none_are_left_out)
{
    folder_files("repo/m/2/model.onnx", "repo/m/v2/model.onnx", "repo/m/002/model.onnx", "repo/m/0/model.onnx",
                 "repo/m/v0/model.onnx", "repo/m/1234567890123456789/model.onnx",
                 "repo/m/999999999999999999/model.onnx", "repo/m/latest/model.onnx", "repo/m/3/net.pt",
                 "repo/w/5/net.pt", "repo/w/v5/model.onnx", "repo/m/4/a.onnx", "repo/m/4/b.onnx",
                 "repo/m/assets/labels.txt");
    add("repo");
    expect(scan.first, "m", 2);
    expect(scan.first->next, "m", 999999999999999999);
    expect(scan.last, "w", 5); /* v5, for 5 has no model */
    ck_assert_ptr_eq(scan.first->next->next, scan.last);
    expect_omitted("w/5/", "there is no .onnx file in it");
    expect_omitted("m/v2/", "'2' is version 2 too");
    expect_omitted("m/002/", "'2' is version 2 too");
    expect_omitted("m/0/", "versions count from 1");
    expect_omitted("m/v0/", "versions count from 1");
    expect_omitted("m/1234567890123456789/", "at most 18 digits");
    expect_omitted("m/latest/", "1, 2, ... or v1, v2");
    expect_omitted("m/3/", "there is no .onnx file in it");
    expect_omitted("m/4/", "several .onnx files");
    expect_no_more_omitted();
}
END_TEST

START_TEST(litter_is_passed_over_in_silence)
{
    folder_files("repo/good.onnx", "repo/good.onnx~", "repo/good.onnx.bak", "repo/.good.onnx.swp", "repo/._good.onnx",
                 "repo/.git/model.onnx", "repo/__pycache__/x.pyc", "repo/good.pt", "repo/__MACOSX/._model.onnx",
                 "repo/lost+found/x", "repo/train/train.py", "repo/README.md", "repo/m/model.onnx",
                 "repo/gallery/a/manifest.json", "repo/m/model.onnx~", "repo/m/.model.onnx.swp", "repo/m/other.onnx");
    add("repo");
    expect(scan.first, "good", 1);
    expect(scan.last, "m", 1);
    ck_assert_ptr_eq(scan.first->next, scan.last);
    expect_no_more_omitted();
}
END_TEST

START_TEST(links_are_named_as_they_are_called_and_circles_do_no_harm)
{
    folder_files("store/abc/model.onnx", "store/def", "repo/good.onnx");
    static const char *const links[][2] = {
        {"../store/abc", "linked"}, {"../store/def", "file.onnx"}, {".", "loop"},      {"..", "up"},
        {"nowhere", "gone.onnx"},   {"itself", "itself"},          {"linked", "alias"}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        ck_assert_int_eq(symlink(links[i][0], folder_at(arena_printf(&arena, "repo/%s", links[i][1]))), 0);
    add("repo");
    const struct found *found = scan.first;
    expect(found, "alias", 1);
    expect(found = found->next, "file", 1);
    expect(found = found->next, "good", 1);
    expect(found = found->next, "linked", 1);
    ck_assert_ptr_null(found->next);
    expect_omitted("loop/", "a link back");
    expect_omitted("up/", "a link back");
    expect_omitted("gone.onnx", "leads nowhere");
    expect_omitted("itself", "leads nowhere");
    expect_no_more_omitted();
    scan.last = scan.first = NULL;
    add("repo/linked");
    expect(scan.first, "linked", 1);
}
END_TEST

START_TEST(volumes_and_caches_of_links_are_found)
{
    folder_files("volume/..2026_01/digits/model.onnx", "volume/..2026_01/names.onnx", "hub/blobs/aa", "hub/blobs/bb");
    ck_assert_int_eq(symlink("..2026_01", folder_at("volume/..data")), 0);
    ck_assert_int_eq(symlink("..data/digits", folder_at("volume/digits")), 0);
    ck_assert_int_eq(symlink("..data/names.onnx", folder_at("volume/names.onnx")), 0);
    add("volume");
    expect(scan.first, "digits", 1);
    expect(scan.last, "names", 1);
    ck_assert_ptr_eq(scan.first->next, scan.last);
    folder_text("hub/rev/onnx/config.json", "{}");
    ck_assert_int_eq(symlink("../../blobs/aa", folder_at("hub/rev/onnx/model.onnx")), 0);
    ck_assert_int_eq(symlink("../../blobs/bb", folder_at("hub/rev/onnx/model.onnx_data")), 0);
    add("hub/rev");
    expect(scan.last, "onnx", 1);
    add("hub/rev/onnx/model.onnx");
    expect(scan.last, "onnx", 1);
    expect_no_more_omitted();
}
END_TEST

/* As another user, for root may read everything. */
START_TEST(a_folder_that_cannot_be_read_leaves_the_others)
{
    if (getenv("CK_FORK") && strcmp(getenv("CK_FORK"), "no") == 0)
        return;
    folder_files("repo/good.onnx", "repo/closed/model.onnx", "repo/m/1/model.onnx", "repo/m/2/model.onnx");
    ck_assert_int_eq(chmod(folder_at("repo/closed"), 0), 0);
    ck_assert_int_eq(chmod(folder_at("repo/m/2"), 0), 0);
    ck_assert_int_eq(chmod(folder_root, 0755) + chmod(folder_at("repo"), 0755) + chmod(folder_at("repo/m"), 0755) +
                         chmod(folder_at("repo/m/1"), 0755),
                     0);
    bool root = geteuid() == 0;
    if (root)
        ck_assert_int_eq(seteuid(65534), 0);
    add("repo");
    if (root)
        ck_assert_int_eq(seteuid(0), 0);
    chmod(folder_at("repo/closed"), 0700);
    chmod(folder_at("repo/m/2"), 0700);
    expect(scan.first, "good", 1);
    expect(scan.last, "m", 1);
    expect_omitted("closed/", "it cannot be read: Permission denied");
    expect_omitted("m/2/", "no .onnx file");
    expect_no_more_omitted();
}
END_TEST

START_TEST(a_folder_of_models_adds_them_all)
{
    folder_files("repo/b/model.onnx", "repo/a/2/model.onnx", "repo/c.onnx", "repo/.hidden/model.onnx", "repo/README.md",
                 "repo/train/train.py");
    add("repo");
    const struct found *found = scan.first;
    expect(found, "a", 2);
    expect(found = found->next, "b", 1);
    expect(found = found->next, "c", 1);
    ck_assert_ptr_null(found->next);
}
END_TEST

START_TEST(what_is_not_there_is_said)
{
    expect_refused(folder_at("nowhere"), ERR_NOT_FOUND, "there is nothing at");
    folder_files("empty/README.md");
    expect_refused(folder_at("empty"), ERR_NOT_FOUND, "there is no model in");
    folder_files("weights.bin", "net.pt");
    expect_refused(folder_at("weights.bin"), ERR_INVALID, "neither an .onnx file nor a folder");
    expect_refused(folder_at("net.pt"), ERR_INVALID, "a PyTorch file: export");
    folder_files("broken/best (1).onnx", "broken/x/net.h5");
    expect_refused(folder_at("broken"), ERR_NOT_FOUND, "best (1).onnx: 'best (1)' cannot be");
    ck_assert_ptr_null(scan.first);
}
END_TEST

START_TEST(a_name_that_cannot_stand_in_a_path_is_refused)
{
    folder_files("two words.onnx");
    expect_refused(folder_at("two words.onnx"), ERR_INVALID, "cannot be a model's name");
    folder_files("_x/model.onnx");
    expect_refused(folder_at("_x"), ERR_NOT_FOUND, "cannot be a model's name");
    char name[140];
    memset(name, 'a', sizeof name);
    strcpy(name + 129, ".onnx");
    folder_files(name);
    expect_refused(folder_at(name), ERR_INVALID, "at most 128");
}
END_TEST

START_TEST(a_versions_own_manifest_comes_first)
{
    folder_files("m/1/model.onnx", "m/2/model.onnx");
    folder_text("m/2/manifest.json", "{}");
    add("m");
    expect_manifest(scan.first, "m");
    expect_manifest(scan.last, "m/2");
}
END_TEST

START_TEST(a_manifest_beside_several_files_belongs_to_none)
{
    folder_files("one/a.onnx", "two/a.onnx", "two/b.onnx");
    add("one/a.onnx");
    expect_manifest(scan.first, "one");
    add("two/b.onnx");
    expect_manifest(scan.last, NULL);
}
END_TEST

static const char *named(const char *name, const char *place)
{
    return arena_printf(&arena, "%s=%s", name, folder_at(place));
}

static void add_named(const char *name, const char *place)
{
    ck_assert_msg(scan_path(&scan, named(name, place), &err), "%s", err.text);
}

START_TEST(a_name_can_be_given_to_the_one_model_of_a_path)
{
    folder_files("file.onnx", "mount/model.onnx", "versions/1/model.onnx", "versions/3/model.onnx",
                 "around/other/model.onnx");
    add_named("a", "file.onnx");
    add_named("b", "mount");
    add_named("c", "versions");
    add_named("d", "around");
    const struct found *at = scan.first;
    expect(at, "a", 1);
    expect(at = at->next, "b", 1);
    expect(at = at->next, "c", 1);
    expect(at = at->next, "c", 3);
    expect(at = at->next, "d", 1);
    ck_assert_ptr_null(at->next);
    expect_no_more_omitted();
}
END_TEST

START_TEST(a_name_is_not_given_to_several_models_nor_a_bad_one_to_any)
{
    folder_files("first.onnx", "many/a.onnx", "many/b.onnx", "empty/readme.txt");
    add("first.onnx");
    struct found *last = scan.last;
    ck_assert(!scan_path(&scan, named("x", "many"), &err));
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_msg(strstr(err.text, "several models in it ('a', 'b')") != NULL, "%s", err.text);
    ck_assert_msg(scan.last == last && !last->next, "what was found before stays alone");
    expect_refused(named("x", "many"), ERR_INVALID, "a name can be given to one");
    expect_refused(named("-x", "first.onnx"), ERR_INVALID, "begins with a letter or digit");
    expect_refused(named("x y", "first.onnx"), ERR_INVALID, "letters, digits");
    expect_refused(named("x", "empty"), ERR_NOT_FOUND, "no model");
    expect_refused(named("x", "nowhere"), ERR_NOT_FOUND, "nothing at this path");
    expect_refused("x=", ERR_NOT_FOUND, "nothing at this path");
    expect_refused("=x", ERR_NOT_FOUND, "nothing at this path");
}
END_TEST

START_TEST(a_path_with_an_equals_sign_is_a_path_where_it_is_one)
{
    folder_files("a=b/c.onnx", "a=b/d.onnx");
    add("a=b");
    expect(scan.first, "c", 1);
    expect(scan.first->next, "d", 1);
    expect_no_more_omitted();
    expect_refused(folder_at("c=d"), ERR_NOT_FOUND, "nothing at this path");
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    folder_files("repo/a/1/model.onnx", "repo/b.onnx");
    const char *const paths[] = {folder_at("repo"), named("name", "repo/a")};
    for (size_t nth = 1; nth <= 8; nth++) {
        struct scan own = {0};
        err = (struct percept_err){0};
        arena_fail_at((nth + 1) / 2, true);
        bool ok = scan_path(&own, paths[nth % 2], &err);
        arena_fail_at(0, false);
        ck_assert(ok ? nth > 2 : err.code == ERR_MEMORY);
        arena_free(&own.arena);
    }
}
END_TEST

START_TEST(names_are_of_the_allowed_characters)
{
    char longest[130];
    memset(longest, 'a', sizeof longest);
    longest[128] = '\0';
    ck_assert(scan_name("a"));
    ck_assert(scan_name("0_Model-1.5"));
    ck_assert(scan_name(longest));
    longest[128] = 'a';
    longest[129] = '\0';
    ck_assert(!scan_name(longest));
    static const char *const bad[] = {"", ".", "..", "-a", "_a", "a b", "a/b", "a\xc3\xa9", "a:b", "a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!scan_name(bad[i]), "%s", bad[i]);
}
END_TEST

Suite *serve_scan_suite(void)
{
    Suite *suite = suite_create("serve/scan");
    TCase *tests = tcase_create("scan");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, names_are_of_the_allowed_characters);
    tcase_add_test(tests, a_file_is_called_like_itself);
    tcase_add_test(tests, model_onnx_is_called_like_its_folder_or_that_of_its_versions);
    tcase_add_test(tests, a_models_folder_holds_a_model_or_versions);
    tcase_add_test(tests, a_folder_of_models_adds_them_all);
    tcase_add_test(tests, a_config_lies_beside_the_model_or_its_versions);
    tcase_add_loop_test(tests, folders_are_taken_as_others_write_them, 0, sizeof forms / sizeof *forms);
    tcase_add_test(tests, of_several_files_none_is_the_only_one);
    tcase_add_test(tests, an_encoder_and_a_decoder_are_one_model);
    tcase_add_test(tests, files_of_which_none_is_the_model_are_named);
    tcase_add_test(tests, a_name_that_cannot_be_leaves_the_others);
    tcase_add_test(tests, what_has_one_meaning_is_served);
    tcase_add_test(tests, a_folder_of_versions_means_the_same_named_alone);
    tcase_add_test(tests, what_has_no_meaning_or_several_is_left_out_with_what_would_work);
    tcase_add_test(tests, versions_that_are_none_are_left_out);
    tcase_add_test(tests, litter_is_passed_over_in_silence);
    tcase_add_test(tests, links_are_named_as_they_are_called_and_circles_do_no_harm);
    tcase_add_test(tests, volumes_and_caches_of_links_are_found);
    tcase_add_test(tests, a_folder_that_cannot_be_read_leaves_the_others);
    tcase_add_test(tests, what_is_not_there_is_said);
    tcase_add_test(tests, a_name_that_cannot_stand_in_a_path_is_refused);
    tcase_add_test(tests, a_versions_own_manifest_comes_first);
    tcase_add_test(tests, a_manifest_beside_several_files_belongs_to_none);
    tcase_add_test(tests, a_name_can_be_given_to_the_one_model_of_a_path);
    tcase_add_test(tests, a_name_is_not_given_to_several_models_nor_a_bad_one_to_any);
    tcase_add_test(tests, a_path_with_an_equals_sign_is_a_path_where_it_is_one);
    tcase_add_test(tests, every_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return suite;
}
