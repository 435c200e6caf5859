/* encoder_text.c - predictions as lines, and what Accept makes of them. */
#include "answering.h"
#include "base/err.h"
#include "serve/encoder.h"

#include <check.h>
#include <string.h>

Suite *serve_encoder_text_suite(void);

#define CLASSES "{\"manifest\":1,\"labels\":{\"0\":\"a, \\\"b\\\"\"},\"task\":{\"kind\":\"classify\"}}"
#define BOXES "{\"manifest\":1,\"labels\":[\"cat\"],\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\"}}"
#define TURNED "{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\",\"obb\":true}}"

static const float scores[] = {0.5f, 0.25f, 0.125f, 0.75f};
static const float rows[] = {1, 2, 3, 4, 0.5f, 0, 1};
static const struct answering_output classes[] = {{"y", PERCEPT_FLOAT, 2, {2, 2}, scores}};
static const struct answering_output boxes[] = {{"y", PERCEPT_FLOAT, 3, {1, 1, 6}, rows}};
static const struct answering_output turned[] = {{"y", PERCEPT_FLOAT, 3, {1, 1, 7}, rows}};

static const struct {
    const char *manifest;
    const struct answering_output *outputs;
    int n_items;
    const char *accept, *media_type, *told;
} forms[] = {
    {CLASSES, classes, 2, "text/plain", "text/plain", "a, \"b\" 0.5\n1 0.25\n\n1 0.75\na, \"b\" 0.125\n"},
    {CLASSES, classes, 2, "text/csv", "text/csv",
     "item,label,index,score\r\n0,\"a, \"\"b\"\"\",0,0.5\r\n0,,1,0.25\r\n1,,1,0.75\r\n1,\"a, \"\"b\"\"\",0,0.125\r\n"},
    {BOXES, boxes, 1, "text/html, text/*", "text/plain", "cat 0.5 1.0 2.0 3.0 4.0\n"},
    {BOXES, boxes, 1, "text/csv;q=0.9, text/plain;q=0.8, */*;q=0.1", "text/csv",
     "item,label,index,score,x1,y1,x2,y2\r\n0,cat,0,0.5,1.0,2.0,3.0,4.0\r\n"},
    {TURNED, turned, 1, "text/csv", "text/csv",
     "item,label,index,score,x1,y1,x2,y2,angle\r\n0,,0,0.5,1.0,2.0,3.0,4.0,1.0\r\n"},
    /* libraries' lists, and what every reply may be */
    {CLASSES, classes, 2, "application/json, text/plain, */*", "application/json", NULL},
    {CLASSES, classes, 2, "text/html,application/xhtml+xml,*/*;q=0.8", "application/json", NULL},
    {CLASSES, classes, 2, "*/*", "application/json", NULL},
    {CLASSES, classes, 2, "application/*", "application/json", NULL},
    {CLASSES, classes, 2, "", "application/json", NULL},
    {CLASSES, classes, 2, "nonsense", "application/json", NULL},
    {CLASSES, classes, 2, "image/png, */*", "application/json", NULL},
    {CLASSES, classes, 2, "image/png;q=1, text/html", "application/json", NULL},
    /* nothing that there is */
    {CLASSES, classes, 2, "audio/wav", "",
     "Accept names nothing that a reply of model 'm' can be; it can be application/json, application/octet-stream, "
     "text/plain, text/csv"},
    {CLASSES, classes, 2, "application/json;q=0, text/xml", "",
     "Accept names nothing that a reply of model 'm' can be; it can be application/json, application/octet-stream, "
     "text/plain, text/csv"},
    {"{\"manifest\":1}", classes, 2, "text/plain", "",
     "Accept names nothing that a reply of model 'm' can be; it can be application/json, application/octet-stream"},
};

START_TEST(accept_chooses_the_form)
{
    const char *media_type;
    const char *told = answering_as(&(struct answering){.manifest = forms[_i].manifest,
                                                        .width = 10,
                                                        .height = 10,
                                                        .n_items = forms[_i].n_items,
                                                        .outputs = forms[_i].outputs,
                                                        .n_outputs = 1},
                                    forms[_i].accept, &media_type);
    ck_assert_str_eq(media_type, forms[_i].media_type);
    if (forms[_i].told)
        ck_assert_str_eq(told, forms[_i].told);
    else
        ck_assert_ptr_nonnull(strstr(told, "\"predictions\":"));
}
END_TEST

Suite *serve_encoder_text_suite(void)
{
    Suite *suite = suite_create("serve_encoder_text");
    TCase *tests = tcase_create("encoder_text");
    tcase_add_checked_fixture(tests, answering_begin, answering_end);
    tcase_add_loop_test(tests, accept_chooses_the_form, 0, sizeof forms / sizeof *forms);
    suite_add_tcase(suite, tests);
    return suite;
}
