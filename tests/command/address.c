/* Where a client finds a server that listens at ... */
#include "command/address.h"

#include <check.h>

static const struct {
    const char *listen;
    int port;
    const char *text; /* NULL: refused */
} cases[] = {
    {"127.0.0.1:8080", 0, "127.0.0.1:8080"},
    {"0.0.0.0:80", 0, "127.0.0.1:80"},
    {":81", 0, "127.0.0.1:81"},
    {"82", 0, "127.0.0.1:82"},
    {"*:83", 0, "127.0.0.1:83"},
    {"localhost:84", 0, "127.0.0.1:84"},
    {"[::1]:85", 0, "[::1]:85"},
    {"[::]:86", 0, "[::1]:86"},
    {"10.1.2.3:87", 0, "10.1.2.3:87"},
    {"127.0.0.1:0", 4711, "127.0.0.1:4711"},
    {"unix:/run/s", 0, "unix:/run/s"},
    {"unix:/run/s", 4711, "unix:/run/s"},
    {"unix:/run/s+mode=0666", 0, "unix:/run/s"},
    {":87+ops", 0, "127.0.0.1:87"},
    {":87+x", 0, NULL},
    {"unix:s", 0, NULL},
    {"unix:", 0, NULL},
    {"fd:3x", 0, NULL},
    {"fd:3", 0, NULL},
    {"example.org:80", 0, NULL},
    {"127.0.0.1:65536", 0, NULL},
    {"127.0.0.1:", 0, NULL},
    {"", 0, NULL},
    {"127.0.0.1:-1", 0, NULL},
};

START_TEST(an_address_is_read)
{
    struct address address;
    struct percept_err err;
    bool good = address_read(cases[_i].listen, cases[_i].port, &address, &err);
    ck_assert_msg(good == (cases[_i].text != NULL), "%s", cases[_i].listen);
    if (good)
        ck_assert_str_eq(address.text, cases[_i].text);
    else
        ck_assert_int_ne(err.text[0], '\0');
}
END_TEST

Suite *command_address_suite(void);

Suite *command_address_suite(void)
{
    Suite *suite = suite_create("command_address");
    TCase *tests = tcase_create("address");
    tcase_add_loop_test(tests, an_address_is_read, 0, (int)(sizeof cases / sizeof *cases));
    suite_add_tcase(suite, tests);
    return suite;
}
