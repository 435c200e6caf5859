/* sha1.c - the examples of FIPS 180 and RFC 6455, and lengths around a block's end beside what sha1sum says. */
#include "base/sha1.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *base_sha1_suite(void);

static const struct {
    const char *text, *digest;
    int n; /* so many times 'a' instead */
} cases[] = {
    {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709", 0},
    {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d", 0},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1", 0},
    {"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11", "b37a4f2cc0624f1690f64606cf385945b2bec4ea", 0},
    {NULL, "c1c8bbdc22796e28c0e15163d20899b65621d65a", 55},
    {NULL, "c2db330f6083854c99d4b5bfb6e8f29f201be699", 56},
    {NULL, "03f09f5b158a7a8cdad920bddc29b81c18a551f5", 63},
    {NULL, "0098ba824b5c16427bd7a1122a5a442a25ec644d", 64},
    {NULL, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56", SHA1_MOST},
};

START_TEST(digests_are_the_standards)
{
    char text[SHA1_MOST + 1] = "", shown[2 * SHA1_BYTES + 1];
    uint8_t digest[SHA1_BYTES];
    if (cases[_i].text)
        strcpy(text, cases[_i].text);
    memset(text + strlen(text), 'a', (size_t)cases[_i].n);
    sha1(bytes_of(text, cases[_i].text ? strlen(cases[_i].text) : (size_t)cases[_i].n), digest);
    for (int i = 0; i < SHA1_BYTES; i++)
        snprintf(shown + 2 * i, 3, "%02x", digest[i]);
    ck_assert_str_eq(shown, cases[_i].digest);
}
END_TEST

Suite *base_sha1_suite(void)
{
    Suite *suite = suite_create("base/sha1");
    TCase *tests = tcase_create("sha1");
    tcase_add_loop_test(tests, digests_are_the_standards, 0, sizeof cases / sizeof *cases);
    suite_add_tcase(suite, tests);
    return suite;
}
