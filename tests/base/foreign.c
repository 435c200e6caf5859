/* foreign.c - the kinds that people take for a model are told, and what is none of them is not. */
#include "base/foreign.h"

#include <check.h>

#include "edge.h"

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
}
END_TEST

/* Whatever a file begins with, it may end within it. */
START_TEST(nothing_behind_the_end_is_read)
{
    static const char tar[262] = "model.onnx", ml[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    const struct bytes files[] = {OF(POINTER),
                                  OF("<!DOCTYPE html>"),
                                  OF("\xef\xbb\xbf<?xml <net "),
                                  OF("PK\x03\x04 metadata.json config.json data.pkl"),
                                  OF("\x2a\0\0\0\0\0\0\0{\"w\":"),
                                  OF("<\0h\0t\0m\0l\0>\0"),
                                  OF("\xfe\xff\0<\0h"),
                                  OF("(dp0\nVa\np1\nI1\ns."),
                                  OF("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
                                  OF("\xf0\x9f\x98\x80 \xe2\x82\xac"),
                                  OF(" \t\r\n{"),
                                  OF(ml),
                                  OF(tar)};
    struct edge edge = edge_new();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (size_t n = 0; n <= bytes_size(files[i]); n++) {
            const struct foreign *kind = foreign_find(edge_bytes(&edge, files[i].at, n));
            ck_assert_ptr_eq(kind, foreign_find(bytes_of(files[i].at, n)));
        }
    edge_free(&edge);
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

static void expect_none(struct bytes file)
{
    const struct foreign *kind = foreign_find(file);
    ck_assert_msg(kind == NULL, "'%s' instead of nothing", kind ? kind->what : "");
}

START_TEST(pickles_have_a_protocol_and_an_end)
{
    static uint8_t text[] = {0x80, 2, '}', '.'};
    for (uint8_t protocol = 0; protocol < 8; protocol++) {
        text[1] = protocol;
        if (protocol >= 2 && protocol <= 5)
            expect(bytes_of(text, 4), "pickle", "skl2onnx");
        else
            expect_none(bytes_of(text, 4));
    }
    expect_none(OF("\x80\x04}x"));
    expect_none(OF("\x80\x04."));
    expect_none(OF("\x81\x04}."));
    expect(OF("\x80\x05\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19x"), "PyTorch", "torch.onnx");
    expect(OF("\x80\x05\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"), "PyTorch", "torch.onnx"); /* and no more */
    expect_none(OF("\x80\x05\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50"));
    expect_none(OF("\x80\x05\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x18x"));
    expect(OF("(lp0\n."), "pickle", "skl2onnx");
    expect(OF("(dp0\n without an end"), "a text", ".onnx");
}
END_TEST

START_TEST(safetensors_have_a_length_and_an_object)
{
    char file[12] = "\2\0\0\0\0\0\0\0{}";
    expect(bytes_of(file, 10), "safetensors", "export");
    expect_none(bytes_of(file, 9));
    file[9] = '"';
    expect(bytes_of(file, 12), "safetensors", "export");
    file[0] = 1; /* no object has one byte */
    expect_none(bytes_of(file, 12));
    memcpy(file, "\x00\xe1\xf5\x05\0\0\0\0", 8); /* 100,000,000: safetensors' own limit */
    expect(bytes_of(file, 12), "safetensors", "export");
    file[0] = 1;
    expect_none(bytes_of(file, 12));
    memcpy(file, "\2\0\0\0\0\0\0\1{\"", 10);
    expect_none(bytes_of(file, 12));
    memcpy(file, "\2\0\0\0\0\0\0\0{x", 10);
    expect_none(bytes_of(file, 12));
    memcpy(file, "\2\0\0\0\0\0\0\0[\"", 10);
    expect_none(bytes_of(file, 12));
}
END_TEST

START_TEST(a_zip_is_told_by_what_is_in_it)
{
    expect(OF("PK\x03\x04 metadata.json"), "a ZIP archive", "unpack");
    expect(OF("PK\x03\x04 config.json"), "a ZIP archive", "unpack");
    expect_none(OF("PK\x03\x05 data.pkl"));
    static char far[1 << 20] = "PK\x03\x04"; /* nobody looks through gigabytes for a name */
    memcpy(far + sizeof far - 9, "data.pkl", 9);
    expect(bytes_of(far, sizeof far), "a ZIP archive", "unpack");
}
END_TEST

START_TEST(a_text_has_no_control_characters)
{
    char file[] = "a? b";
    for (int byte = 0; byte < 0x80; byte++) {
        file[1] = (char)byte;
        bool control = (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r' && byte != '\f') || byte == 0x7f;
        if (control)
            expect_none(bytes_of(file, 4));
        else
            expect(bytes_of(file, 4), "a text", ".onnx");
    }
    expect_none(OF("half a letter: \xc3")); /* which is only cut where a look ends */
    expect_none(OF("\xc3("));
    static char longer[600];
    memset(longer, 'x', sizeof longer);
    memcpy(longer + 596, "\xf0\x9f\x98", 4);
    expect(bytes_of(longer, 599), "a text", ".onnx");
    memcpy(longer + 595, "\xf0\x28\x28\x28", 4); /* too far from the end to be cut there */
    expect_none(bytes_of(longer, 599));
    memset(longer, 'x', sizeof longer);
    longer[511] = '\xc3';
    expect(bytes_of(longer, 512), "a text", ".onnx");
    longer[510] = '\xc3';
    expect_none(bytes_of(longer, 511));
}
END_TEST

START_TEST(texts_of_two_byte_letters_are_told)
{
    expect(OF("{\0\"\0"), "UTF-16", "fetch");
    expect(OF("\0{\0\""), "UTF-16", "fetch");
    expect(OF("a\0~\0\t\0"), "UTF-16", "fetch");
    expect_none(OF("a\0")); /* too short to tell */
    expect_none(OF("a\0b\0c"));
    expect_none(OF("a\0\x7f\0"));
    expect_none(OF("a\0\x08\0"));
    expect_none(OF("a\0b\1"));
    expect_none(OF("a\0\0b"));
    expect_none(OF("\0a\1b"));
    static char longer[80];
    for (int i = 0; i < 80; i += 2)
        longer[i] = 'x';
    longer[64] = '\1'; /* the first letters tell */
    expect(bytes_of(longer, sizeof longer), "UTF-16", "fetch");
    longer[62] = '\1';
    expect_none(bytes_of(longer, sizeof longer));
}
END_TEST

START_TEST(pages_and_objects_are_told_behind_blanks_and_in_any_case)
{
    expect(OF(" \t\r\n<HTML>"), "HTML", "fetch");
    expect(OF("<head><title>x</title>"), "HTML", "fetch");
    expect(OF("<net name=\"m\">"), "OpenVINO", ".onnx file");
    expect(OF("<net>"), "a text", ".onnx");
    expect(OF(" \n[1]"), "JSON", ".onnx");
    expect(OF(" \n{}"), "JSON", ".onnx");
    expect(OF(" \n "), "a text", ".onnx");
    expect(OF("<htm"), "a text", ".onnx");
    expect(OF("<html"), "HTML", "fetch"); /* and no more */
    expect(OF("html"), "a text", ".onnx");
}
END_TEST

START_TEST(a_file_of_zeros_has_some_bytes_and_no_other)
{
    static char zeros[17];
    expect(bytes_of(zeros, 16), "zero bytes alone", "again");
    expect_none(bytes_of(zeros, 15));
    zeros[16] = 1;
    expect_none(bytes_of(zeros, 17));
    memset(zeros, 7, sizeof zeros);
    expect_none(bytes_of(zeros, sizeof zeros));
}
END_TEST

START_TEST(a_pointer_is_short_and_of_either_name)
{
    static char text[FOREIGN_POINTER_MAX + 1] = "version https://hawser.github.com/spec/v1\n";
    memset(text + strlen(text), 'x', sizeof text - strlen(text));
    ck_assert_ptr_nonnull(foreign_pointer(bytes_of(text, FOREIGN_POINTER_MAX)));
    ck_assert_ptr_null(foreign_pointer(bytes_of(text, sizeof text)));
    ck_assert_ptr_null(foreign_pointer(bytes_of("", 0)));
}
END_TEST

/* Magic numbers count at their place alone, and whole. */
START_TEST(a_magic_number_is_whole_and_in_its_place)
{
    static char tar[512];
    memcpy(tar + 257, "ustar", 5);
    expect(bytes_of(tar, 262), "a tar archive", "tar xf");
    expect_none(bytes_of(tar, 261));
    expect_none(bytes_of(tar + 1, 300));
    expect(OF("GIF8"), "a GIF picture", ".onnx");
    expect(OF("GIF"), "a text", ".onnx");
    expect(OF("TFL3"), "a text", ".onnx");
    expect(OF("%PDF-"), "a PDF", ".onnx");
    expect(OF("PAR1"), "a Parquet", ".onnx");
    expect(OF("SQLite format 3"), "an SQLite", ".onnx");
    expect(OF("MATLAB 5.0 MAT-file"), "a MATLAB", "exportONNXNetwork");
    expect(OF("\xac\xed\0\5"), "Java", "export");
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
    tcase_add_test(tests, nothing_behind_the_end_is_read);
    tcase_add_test(tests, a_long_text_is_no_pointer);
    tcase_add_test(tests, pickles_have_a_protocol_and_an_end);
    tcase_add_test(tests, safetensors_have_a_length_and_an_object);
    tcase_add_test(tests, a_zip_is_told_by_what_is_in_it);
    tcase_add_test(tests, a_text_has_no_control_characters);
    tcase_add_test(tests, texts_of_two_byte_letters_are_told);
    tcase_add_test(tests, pages_and_objects_are_told_behind_blanks_and_in_any_case);
    tcase_add_test(tests, a_file_of_zeros_has_some_bytes_and_no_other);
    tcase_add_test(tests, a_pointer_is_short_and_of_either_name);
    tcase_add_test(tests, a_magic_number_is_whole_and_in_its_place);
    suite_add_tcase(suite, tests);
    return suite;
}
