/* foreign.c - the kinds that people take for a model are told, and what is none of them is not. */
#include "base/foreign.h"

#include <check.h>

Suite *base_foreign_suite(void);

#define POINTER "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
#define OF(text) bytes_of(text, sizeof text - 1)

static void expect(struct bytes file, const char *what, const char *remedy)
{
    const struct foreign *kind = foreign_find(file);
    ck_assert_msg(kind != NULL, "nothing instead of %s", what);
    ck_assert_msg(strstr(kind->what, what) != NULL, "'%s' instead of '%s'", kind->what, what);
    ck_assert_msg(strstr(kind->remedy, remedy) != NULL, "'%s': '%s'", kind->what, kind->remedy);
}

START_TEST(pointers_and_pages_are_told)
{
    expect(OF(POINTER), "Git LFS pointer", "git lfs pull");
    expect(OF("<!DOCTYPE html>\n<html><body>Not Found</body></html>\n"), "HTML", "fetch");
    expect(OF("\xef\xbb\xbf\r\n<!doctype HTML><p>"), "HTML", "fetch");
    expect(OF("/annex/objects/SHA256E-s3--4d.onnx\n"), "git-annex", "git annex get");
    expect(OF("<html lang=en>"), "HTML", "fetch");
    expect(OF("<?xml version=\"1.0\"?><html xmlns='x'/>"), "HTML", "fetch");
    expect(OF("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"), "XML", "fetch");
    expect(OF("<\0h\0t\0m\0l\0>\0"), "UTF-16", "fetch");
    expect(OF("\xff\xfe<\0h\0t\0m\0l\0>\0"), "UTF-16", "fetch");
    expect(OF("\xfe\xff\0<\0h\0t\0m\0l\0>"), "UTF-16", "fetch");
    expect(OF("{\"error\":\"not found\"}"), "JSON", ".onnx");
    expect(OF("[1,2]"), "JSON", ".onnx");
    expect(OF("name: \"net\"\nlayer {\n}\n"), "a text", ".onnx");
    expect(OF("not found \xc3\xa9\n"), "a text", ".onnx");
}
END_TEST

START_TEST(other_frameworks_files_are_told)
{
    expect(OF("\x1c\0\0\0TFL3\0\0\0\0"), "TFLite", "tf2onnx");
    expect(OF("\x1c\0\0\0ORTM\0\0\0\0"), "ONNX Runtime's own", ".onnx file");
    expect(OF("\x89HDF\r\n\x1a\n\0\0"), "HDF5", "tf2onnx");
    expect(OF("\x2a\0\0\0\0\0\0\0{\"w\":{\"dtype\":\"F32\"}}"), "safetensors", "export");
    expect(OF("GGUF\x03\0\0\0"), "GGUF", "export");
    expect(OF("ftrt\0\0\0\0"), "TensorRT", ".onnx file");
    expect(OF("\x93NUMPY\x01\0v\0{'descr'"), "NumPy", "--input");
    expect(OF("<?xml version=\"1.0\"?>\n<net name=\"m\" version=\"11\">"), "OpenVINO", ".onnx file");
    expect(OF("7767517\n75 83\n"), "ncnn", "export");
    expect(OF("\x80\x04\x95\x10\0\0\0\0\0\0\0}."), "pickle", "skl2onnx");
    expect(OF("(dp0\nVa\np1\nI1\ns."), "pickle", "skl2onnx");
    expect(OF("ccopy_reg\n_reconstructor\np0\n(csklearn.svm\n."), "pickle", "skl2onnx");
    expect(OF("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80"), "PyTorch", "torch.onnx");
    expect(OF("PK\x03\x04\0\0\0\0\0\0net/data.pkl"), "PyTorch", "torch.onnx.export");
    expect(OF("PK\x03\x04\0\0metadata.json\0\0PK\x03\x04 config.json"), "Keras", "tf2onnx");
    expect(OF("PK\x03\x04\0\0arr_0.npy"), "NumPy", ".onnx");
}
END_TEST

START_TEST(archives_and_other_files_are_told)
{
    static char tar[512] = "model.onnx";
    memcpy(tar + 257, "ustar", 6);
    expect(OF("PK\x03\x04\x14\0model.onnx"), "a ZIP archive", "unpack");
    expect(bytes_of(tar, sizeof tar), "a tar archive", "tar xf");
    expect(OF("\x1f\x8b\x08\0\0\0"), "gzip", "gunzip");
    expect(OF("\x28\xb5\x2f\xfd\x04\0"), "zstd", "zstd -d");
    expect(OF("\xfd"
              "7zXZ\0\0"),
           "xz", "unxz");
    expect(OF("BZh91AY&SY\0"), "bzip2", "bunzip2");
    expect(OF("7z\xbc\xaf\x27\x1c\0"), "7z", "unpack");
    expect(OF("\x89PNG\r\n\x1a\n\0\0"), "PNG", ".onnx");
    expect(OF("\xff\xd8\xff\xe0\0\x10JFIF"), "JPEG", ".onnx");
    expect(OF("\x7f"
              "ELF\x02\x01\x01"),
           "ELF", ".onnx");
    static const char zeros[4096];
    expect(bytes_of(zeros, sizeof zeros), "zero bytes alone", "again");
}
END_TEST

START_TEST(what_is_no_other_kind_is_not_named)
{
    static const char model[] = "\x08\x07\x12\x07pytorch:\x02\x0a\0";
    ck_assert_ptr_null(foreign_find(OF(model)));
    ck_assert_ptr_null(foreign_find(OF("\x08\x0a\x12\x07tf2onnx\x1a\x05"
                                       "1.2.3")));
    ck_assert_ptr_null(foreign_find(OF("\x3a\x04GIF8")));                       /* a graph first */
    ck_assert_ptr_null(foreign_find(OF("\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40"))); /* floats */
    ck_assert_ptr_null(foreign_find(bytes_of("", 0)));
    for (size_t n = 0; n < sizeof model; n++)
        ck_assert_ptr_null(foreign_find(bytes_of(model, n))); /* cut anywhere */
    for (size_t n = 0; n < sizeof POINTER - 1; n++)
        (void)foreign_find(bytes_of(POINTER, n));
}
END_TEST

START_TEST(a_long_text_is_no_pointer)
{
    static char text[4096] = POINTER;
    memset(text + strlen(text), 'x', sizeof text - strlen(text));
    ck_assert_ptr_nonnull(foreign_pointer(OF(POINTER)));
    ck_assert_ptr_null(foreign_pointer(bytes_of(text, sizeof text)));
    ck_assert_ptr_null(foreign_pointer(OF("version 1\n")));
    text[sizeof text - 1] = '\xc3'; /* half a character at the end of a look */
    expect(bytes_of(text, sizeof text), "a text", ".onnx");
}
END_TEST

Suite *base_foreign_suite(void)
{
    Suite *suite = suite_create("base/foreign");
    TCase *tests = tcase_create("foreign");
    tcase_add_test(tests, pointers_and_pages_are_told);
    tcase_add_test(tests, other_frameworks_files_are_told);
    tcase_add_test(tests, archives_and_other_files_are_told);
    tcase_add_test(tests, what_is_no_other_kind_is_not_named);
    tcase_add_test(tests, a_long_text_is_no_pointer);
    suite_add_tcase(suite, tests);
    return suite;
}
