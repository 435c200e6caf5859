/* sha256.c - tests of base/sha256.c: the examples of FIPS 180-4 and of NIST's CAVP, and every
 * length around a block's end against digests chained into one. */
#include "base/sha256.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "edge.h"

static const char *hex(struct bytes data)
{
    static char text[2 * SHA256_BYTES + 1];
    uint8_t digest[SHA256_BYTES];
    sha256(data, digest);
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return text;
}

static const struct {
    const char *message;
    const char *digest;
} examples[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnop"
     "qrs"
     "mnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    {"\xbd", "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"},
    {"\xc9\x8c\x8e\x55", "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504"},
};

START_TEST(the_examples_of_the_standard_come_out)
{
    ck_assert_str_eq(hex(bytes_of_text(examples[_i].message)), examples[_i].digest);
}
END_TEST

START_TEST(a_million_letters_come_out)
{
    static char letters[1000000];
    memset(letters, 'a', sizeof letters);
    ck_assert_str_eq(hex(bytes_of(letters, sizeof letters)),
                     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
END_TEST

/* The digest of the digests of 0, 1, ... 199 bytes: lengths around one and two blocks included. */
START_TEST(every_length_up_to_three_blocks_comes_out)
{
    uint8_t zeros[200] = {0};
    uint8_t digests[200][SHA256_BYTES];
    for (size_t n = 0; n < 200; n++)
        sha256(bytes_of(zeros, n), digests[n]);
    ck_assert_str_eq(hex(bytes_of(digests, sizeof digests)),
                     "59e350876ff46da193f0d152dd874fa876d2020a80910c6b83b1537e21104a9f");
}
END_TEST

START_TEST(nothing_behind_the_end_is_read)
{
    uint8_t zeros[200] = {0}, digest[SHA256_BYTES], same[SHA256_BYTES];
    struct edge edge = edge_new();
    for (size_t n = 0; n <= sizeof zeros; n++) {
        sha256(edge_bytes(&edge, zeros, n), digest);
        sha256(bytes_of(zeros, n), same);
        ck_assert_int_eq(memcmp(digest, same, sizeof same), 0);
    }
    edge_free(&edge);
}
END_TEST

Suite *base_sha256_suite(void)
{
    Suite *suite = suite_create("base/sha256");
    TCase *tcase = tcase_create("sha256");
    tcase_add_loop_test(tcase, the_examples_of_the_standard_come_out, 0, sizeof examples / sizeof examples[0]);
    tcase_add_test(tcase, a_million_letters_come_out);
    tcase_add_test(tcase, every_length_up_to_three_blocks_comes_out);
    tcase_add_test(tcase, nothing_behind_the_end_is_read);
    suite_add_tcase(suite, tcase);
    return suite;
}
