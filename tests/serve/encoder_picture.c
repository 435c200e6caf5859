/* encoder_picture.c - a picture as the whole reply. */
#include "answering.h"
#include "base/err.h"
#include "serve/encoder.h"

#include <check.h>
#include <string.h>

Suite *serve_encoder_picture_suite(void);

#define IMAGE "{\"manifest\":1,\"task\":{\"kind\":\"image\",\"range\":[0,1],\"output\":\"y\"}}"

static const float map[4] = {0, 1, 0.5f, 0.25f};
static const struct answering_output outputs[] = {{"z", PERCEPT_FLOAT, 1, {1}, map},
                                                  {"y", PERCEPT_FLOAT, 4, {1, 1, 2, 2}, map}};

static const struct {
    const char *accept, *media_type, *begins;
    int n_replied, n_items;
} forms[] = {
    {"image/png", "image/png", "\x89PNG", 2, 1},
    {"image/jpeg;q=0.5, image/png;q=0.4", "image/jpeg", "\xff\xd8\xff", 2, 1},
    {"image/avif,image/webp,image/*,*/*;q=0.8", "image/png", "\x89PNG", 2, 1},
    {"image/webp", "",
     "Accept names nothing that a reply of model 'm' can be; it can be application/json, application/octet-stream, "
     "image/png, image/jpeg",
     2, 1},
    {"image/png", "", "the output that the picture is made of is not among those asked for", 1, 1},
    {"image/png", "", "the reply to this request cannot be image/png, which Accept names: it is made of what", 2, 2},
};

START_TEST(accept_asks_for_a_picture)
{
    const char *media_type;
    const char *told = answering_as(&(struct answering){.manifest = IMAGE,
                                                        .width = 2,
                                                        .height = 2,
                                                        .outputs = outputs,
                                                        .n_outputs = 2,
                                                        .n_replied = forms[_i].n_replied,
                                                        .n_items = forms[_i].n_items},
                                    forms[_i].accept, &media_type);
    ck_assert_str_eq(media_type, forms[_i].media_type);
    ck_assert_msg(strncmp(told, forms[_i].begins, strlen(forms[_i].begins)) == 0, "%s", told);
}
END_TEST

Suite *serve_encoder_picture_suite(void)
{
    Suite *suite = suite_create("serve_encoder_picture");
    TCase *tests = tcase_create("encoder_picture");
    tcase_add_checked_fixture(tests, answering_begin, answering_end);
    tcase_add_loop_test(tests, accept_asks_for_a_picture, 0, sizeof forms / sizeof *forms);
    suite_add_tcase(suite, tests);
    return suite;
}
