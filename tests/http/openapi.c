/* openapi.c - tests of http/openapi.c: every route is there, every reference leads somewhere, and a model's schema is
 * its own. That the whole is OpenAPI 3.1 is judged by validators of others, by hand. */
#include "daemon.h"
#include "http/routes.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static struct daemon host;

static json_t *get(const char *key)
{
    static char bytes[1 << 20];
    static struct client client;
    char request[200];
    client_open(&client, &host);
    snprintf(request, sizeof request, "GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", key);
    client_send(&client, request);
    size_t n = 0;
    while (n < sizeof bytes - 1 && !client_closed(&client)) {
        memcpy(bytes + n, client.bytes, client.n_bytes);
        n += client.n_bytes;
        client.n_bytes = 0;
    }
    bytes[n] = '\0';
    client_close(&client);
    const char *body = strstr(bytes, "\r\n\r\n");
    json_error_t error;
    json_t *read = json_loads(body ? body : "", 0, &error);
    ck_assert_msg(read != NULL, "%s at %d: %.200s", error.text, error.position, bytes);
    return read;
}

/* What lies at "a/b/0", where "~1" stands for a slash as in JSON pointers. */
static json_t *at(json_t *from, const char *pointer)
{
    char key[160];
    while (*pointer && from) {
        size_t n = 0;
        for (; *pointer && *pointer != '/'; pointer++) {
            bool slash = strncmp(pointer, "~1", 2) == 0;
            key[n++] = slash ? '/' : *pointer;
            pointer += slash;
        }
        key[n] = '\0';
        pointer += *pointer == '/';
        from = json_is_array(from) ? json_array_get(from, (size_t)(*key - '0')) : json_object_get(from, key);
    }
    return from;
}

static void expect(json_t *from, const char *pointer, const char *text)
{
    json_t *want = json_loads(text, JSON_DECODE_ANY, NULL);
    ck_assert_msg(json_equal(at(from, pointer), want), "%s is not %s", pointer, text);
    json_decref(want);
}

/* How many references there are below; each leads somewhere in the document. */
static int check_refs(json_t *document, json_t *below)
{
    const char *key;
    json_t *value;
    size_t i;
    int n = 0;
    if (json_is_array(below))
        json_array_foreach(below, i, value) n += check_refs(document, value);
    if (json_is_object(below))
        json_object_foreach(below, key, value)
        {
            n += check_refs(document, value);
            if (strcmp(key, "$ref") != 0)
                continue;
            const char *ref = json_string_value(value);
            ck_assert_msg(strncmp(ref, "#/", 2) == 0 && at(document, ref + 2), "%s", ref);
            n++;
        }
    return n;
}

/* Each {word} of a path is declared, and nothing else. */
static void check_parameters(const char *path, const json_t *operation)
{
    const json_t *parameters = json_object_get(operation, "parameters");
    size_t n = 0;
    for (const char *at_word = path; (at_word = strchr(at_word, '{')); n++) {
        size_t length = strcspn(++at_word, "}");
        const char *name = json_string_value(json_object_get(json_array_get(parameters, n), "name"));
        ck_assert_msg(name && strlen(name) == length && strncmp(name, at_word, length) == 0, "%s", path);
    }
    ck_assert_uint_eq(json_array_size(parameters), n);
}

static void check_paths(const json_t *paths)
{
    const char *path, *method;
    json_t *item, *operation;
    json_object_foreach((json_t *)(uintptr_t)paths, path, item)
    {
        ck_assert(path[0] == '/' && !strpbrk(path, "[]|ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
        json_object_foreach(item, method, operation)
        {
            ck_assert(strcmp(method, "get") == 0 || strcmp(method, "post") == 0 || strcmp(method, "put") == 0 ||
                      strcmp(method, "delete") == 0);
            ck_assert(json_is_string(json_object_get(operation, "summary")));
            ck_assert(json_object_get(json_object_get(operation, "responses"), "default") != NULL);
            check_parameters(path, operation);
        }
    }
}

START_TEST(the_document_is_whole)
{
    daemon_start(&host, NULL, NULL);
    json_t *document = get("");
    expect(document, "openapi", "\"3.1.0\"");
    expect(document, "info/title", "\"perceptd\"");
    ck_assert(json_is_string(at(document, "info/version")));
    ck_assert_int_gt(check_refs(document, document), 50);
    check_paths(json_object_get(document, "paths"));
    ck_assert_ptr_null(json_object_get(document, "security"));
    json_decref(document);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

static const struct {
    const char *pattern, *paths[3];
} expanded[] = {
    {"/v2[/]", {"/v2"}},
    {"/v2/models/NAME[/versions/N][/]", {"/v2/models/{name}", "/v2/models/{name}/versions/{version}"}},
    {"/v1/models/NAME[/versions/N|/labels/LABEL]:predict",
     {"/v1/models/{name}:predict", "/v1/models/{name}/versions/{version}:predict",
      "/v1/models/{name}/labels/{label}:predict"}},
};

/* The plain ones by themselves, some others as they are written there. */
START_TEST(every_route_is_described)
{
    daemon_start(&host, NULL, NULL);
    json_t *document = get("");
    const json_t *paths = json_object_get(document, "paths");
    int n_plain = 0;
    for (int i = 0; routes_row(i); i++) {
        const struct route *route = routes_row(i);
        if (strpbrk(route->pattern, "[ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
            continue;
        const json_t *item = json_object_get(paths, route->pattern);
        ck_assert_msg(json_object_get(item, strcmp(route->method, "GET") == 0 ? "get" : "post") != NULL, "%s %s",
                      route->method, route->pattern);
        n_plain++;
    }
    ck_assert_int_gt(n_plain, 8);
    for (size_t i = 0; i < sizeof expanded / sizeof *expanded; i++)
        for (int k = 0; k < 3 && expanded[i].paths[k]; k++)
            ck_assert_msg(json_object_get(paths, expanded[i].paths[k]) != NULL, "%s", expanded[i].paths[k]);
    json_decref(document);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(a_model_has_its_own_schemas)
{
    daemon_start(&host, NULL, NULL);
    json_t *document = get("");
    const char *ref = "{\"$ref\":\"#/components/schemas/relu.1.request\"}";
    expect(document, "paths/~1v2~1models~1relu~1infer/post/requestBody/content/application~1json/schema", ref);
    expect(document, "paths/~1v2~1models~1relu~1versions~11~1infer/post/requestBody/content/application~1json/schema",
           ref);
    json_t *input = at(document, "components/schemas/relu.1.request/properties/inputs/items/oneOf/0/properties");
    expect(input, "name/const", "\"x\"");
    expect(input, "datatype/enum", "[\"FP32\"]");
    expect(input, "shape/prefixItems", "[{\"type\":\"integer\",\"minimum\":1,\"maximum\":8},{\"const\":2}]");
    expect(input, "shape/maxItems", "2");
    json_t *reply = at(document, "components/schemas/relu.1.reply/properties");
    expect(reply, "model_name/const", "\"relu\"");
    expect(reply, "outputs/items/oneOf/0/properties/name/const", "\"y\"");
    ck_assert_ptr_null(at(document, "paths/~1v2~1models~1broken~1infer"));
    json_decref(document);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

/* What a sequence keeps may be left out, and texts stand for ids. */
START_TEST(states_may_be_left_out_and_texts_given)
{
    daemon_chain = true;
    daemon_start(&host, NULL, NULL);
    json_t *document = get("");
    json_t *inputs = at(document, "components/schemas/chain.1.request/properties/inputs");
    expect(inputs, "minItems", "1");
    expect(inputs, "maxItems", "2");
    expect(inputs, "items/oneOf/0/properties/datatype/enum", "[\"INT64\",\"BYTES\"]");
    expect(inputs, "items/oneOf/0/properties/shape/items/minimum", "0");
    expect(inputs, "items/oneOf/1/properties/name/const", "\"h\"");
    expect(inputs, "items/oneOf/1/properties/datatype/enum", "[\"FP32\"]");
    json_t *outputs = at(document, "components/schemas/chain.1.reply/properties/outputs");
    expect(outputs, "maxItems", "2");
    ck_assert_ptr_null(at(outputs, "minItems"));
    expect(at(document, "components/schemas/relu.1.request/properties/inputs"), "minItems", "1");
    json_decref(document);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(where_keys_are_asked_for_it_says_so)
{
    daemon_start(&host, NULL, "secret-key-0123\n");
    json_t *document = get("X-API-Key: secret-key-0123\r\n");
    expect(document, "security", "[{\"bearer\":[]},{\"key\":[]}]");
    expect(document, "components/securitySchemes/key/name", "\"X-API-Key\"");
    expect(document, "paths/~1v2~1health~1live/get/security", "[]");
    ck_assert_ptr_null(at(document, "paths/~1v2/get/security"));
    json_decref(document);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

Suite *http_openapi_suite(void);

Suite *http_openapi_suite(void)
{
    Suite *suite = suite_create("http/openapi");
    TCase *tcase = tcase_create("openapi");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, the_document_is_whole);
    tcase_add_test(tcase, every_route_is_described);
    tcase_add_test(tcase, a_model_has_its_own_schemas);
    tcase_add_test(tcase, states_may_be_left_out_and_texts_given);
    tcase_add_test(tcase, where_keys_are_asked_for_it_says_so);
    suite_add_tcase(suite, tcase);
    return suite;
}
