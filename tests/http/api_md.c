/*
 * api_md.c - api.md is a test: each of its examples is played, in order, against the real daemon
 * serving models/, "sizes" and "pieces", which are made here, and has to come out as the page says.
 *
 *     ```http                                  ```reply
 *     POST /v2/models/digits/infer HTTP/1.1    HTTP/1.1 200 OK
 *     Content-Type: image/png                  Content-Type: application/json
 *
 *     < tests/http/seven.png                   {"model_name": "digits", …}
 *     ```                                      ```
 *
 * The player adds Host, Content-Length and Connection: close. A line "< FILE" of a body is that
 * file's bytes, the end of the line before it not included. Of the reply, the status line, the
 * headers that stand there (in any order) and the body, if there is one, are compared; "…" is any
 * run of bytes, and white space between JSON's words counts for nothing. Each failure names its line
 * of api.md, all are printed, then the test fails.
 *
 * The daemon is given a listening socket, so that the port is free and known, and says on standard
 * error when its models are there: nothing here waits for time to pass.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "folder.h"
#include "graph/proto.h"

#define PAGE "api.md"
#define ANY "\xe2\x80\xa6" /* … */
#define EXAMPLES_MIN 20
#define LIMIT_S 60 /* of one reply: only a daemon that hangs gets there */

struct bytes_buffer {
    size_t n;
    char at[1 << 18];
};

/* Where a line begins; `end` is its line feed or the end of the page. */
struct line {
    const char *at, *end;
    int number;
};

struct page {
    const char *at, *end;
    int number; /* of the last line taken */
};

/* A fenced block: its lines are [at, end). */
struct block {
    const char *at, *end;
    int number; /* of its first line */
};

struct served {
    pid_t pid;
    struct sockaddr_in address;
    FILE *log;
};

static void add(struct bytes_buffer *buffer, const void *at, size_t n)
{
    ck_assert_uint_lt(n, sizeof buffer->at - buffer->n);
    memcpy(buffer->at + buffer->n, at, n);
    buffer->n += n;
    buffer->at[buffer->n] = '\0';
}

static void add_text(struct bytes_buffer *buffer, const char *text)
{
    add(buffer, text, strlen(text));
}

static void add_file(struct bytes_buffer *buffer, const char *path)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s cannot be opened; tests run in the repository's folder", path);
    char piece[4096];
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;)
        add(buffer, piece, n);
    fclose(file);
}

/* --- the page ----------------------------------------------------------------------------------------------------- */

static bool next_line(struct page *page, struct line *line)
{
    if (page->at == page->end)
        return false;
    const char *feed = memchr(page->at, '\n', (size_t)(page->end - page->at));
    line->at = page->at;
    line->end = feed ? feed : page->end;
    line->number = ++page->number;
    page->at = feed ? feed + 1 : page->end;
    return true;
}

static bool line_is(const struct line *line, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(line->end - line->at) == n && memcmp(line->at, text, n) == 0;
}

/* Finds the next block that opens with this fence; `until` ends the search: another fence. */
static bool next_block(struct page *page, const char *fence, const char *until, struct block *block)
{
    struct line line;
    while (next_line(page, &line)) {
        if (until && line_is(&line, until))
            return false;
        if (!line_is(&line, fence))
            continue;
        *block = (struct block){.at = page->at, .end = page->at, .number = page->number + 1};
        while (next_line(page, &line) && !line_is(&line, "```"))
            block->end = page->at;
        return true;
    }
    return false;
}

/* --- the request -------------------------------------------------------------------------------------------------- */

static void add_body_line(struct bytes_buffer *body, const struct line *line, bool first)
{
    size_t n = (size_t)(line->end - line->at);
    if (n > 2 && line->at[0] == '<' && line->at[1] == ' ') {
        char path[256];
        snprintf(path, sizeof path, "%.*s", (int)(n - 2), line->at + 2);
        add_file(body, path);
        return;
    }
    if (!first)
        add(body, "\n", 1);
    add(body, line->at, n);
}

static void build_request(const struct block *block, struct bytes_buffer *request)
{
    static struct bytes_buffer body;
    struct page rest = {.at = block->at, .end = block->end};
    struct line line;
    bool in_head = true, first = true;
    body.n = request->n = 0;
    while (next_line(&rest, &line)) {
        if (in_head && line.at == line.end) {
            in_head = false;
        } else if (in_head) {
            add(request, line.at, (size_t)(line.end - line.at));
            add_text(request, "\r\n");
        } else {
            add_body_line(&body, &line, first);
            first = false;
        }
    }
    char more[128];
    snprintf(more, sizeof more, "Host: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", body.n);
    add_text(request, more);
    add(request, body.at, body.n);
}

/* --- the daemon --------------------------------------------------------------------------------------------------- */

/* size -> its place in a list, and what it is called */
static void make_sizes(void)
{
    static const char *const sizes[] = {"S", "M", "XL"}, *const names[] = {"klein", "mittel", "sehr gro\xc3\x9f"};
    struct proto graph = {0}, place = proto_ml("LabelEncoder", "size", "place");
    struct proto called = proto_ml("LabelEncoder", "size", "called");
    proto_attr_texts(&place, "keys_strings", 3, sizes);
    proto_attr_ints(&place, "values_int64s", 3, (const int64_t[]){0, 1, 2});
    proto_attr_texts(&called, "keys_strings", 3, sizes);
    proto_attr_texts(&called, "values_strings", 3, names);
    proto_attr_text(&called, "default_string", "?");
    proto_add(&graph, GRAPH_NODE, place);
    proto_add(&graph, GRAPH_NODE, called);
    proto_add(&graph, GRAPH_INPUT, proto_value("size", PERCEPT_STRING, 1, (const int64_t[]){-1}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("place", PERCEPT_INT64, 1, (const int64_t[]){-1}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("called", PERCEPT_STRING, 1, (const int64_t[]){-1}));
    struct proto model = proto_model(graph, 13);
    proto_add(&model, MODEL_OPSET_IMPORT, proto_opset("ai.onnx.ml", 2));
    folder_put("sizes.onnx", model.at, model.n);
    proto_free(&model);
}

/* A text's ids, as api.md says its tokenizer.json makes them. */
static void make_pieces(void)
{
    const int64_t dims[] = {-1, -1};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Identity", "n", "ids", "same"));
    proto_add(&graph, GRAPH_INPUT, proto_value("ids", PERCEPT_INT64, 2, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("same", PERCEPT_INT64, 2, dims));
    struct proto model = proto_model(graph, 13);
    folder_put("pieces/model.onnx", model.at, model.n);
    proto_free(&model);
    folder_text("pieces/manifest.json", "{\"manifest\":1,\"inputs\":{\"ids\":{\"kind\":\"text\",\"tokenizer_json\":"
                                        "\"tokenizer.json\",\"max_length\":512}}}");
    folder_text(
        "pieces/tokenizer.json",
        "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":1,\"content\":\"[CLS]\",\"special\":true}],"
        "\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":true},\"pre_tokenizer\":{\"type\":"
        "\"BertPreTokenizer\"},"
        "\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"[CLS]\",1],\"sep\":[\"[SEP]\",2]},"
        "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,"
        "\"un\":3,\"##happy\":4,\"cat\":5,\"##s\":6,\"!\":7}}}");
}

static int open_door(struct sockaddr_in *address)
{
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof *address;
    int door = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(door, 0);
    ck_assert_int_eq(bind(door, (struct sockaddr *)address, sizeof *address), 0);
    ck_assert_int_eq(listen(door, 64), 0);
    ck_assert_int_eq(getsockname(door, (struct sockaddr *)address, &n), 0);
    return door;
}

static void become_daemon(const char *binary, int door, int log)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "apimd-%d", (int)getpid());
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
    setenv("PERCEPTD_REGION_PREFIX", prefix, 1);
    unsetenv("LISTEN_FDS");
    unsetenv("NOTIFY_SOCKET");
    if (dup2(log, STDERR_FILENO) < 0 || dup2(door, 3) < 0)
        _exit(126);
    execl(binary, binary, "serve", "models", folder_at("sizes.onnx"), folder_at("pieces"), "--listen", "fd:3",
          "--workers", "2", (char *)NULL);
    _exit(127);
}

static void start(struct served *served, const char *binary)
{
    int ends[2];
    int door = open_door(&served->address);
    ck_assert_int_eq(pipe(ends), 0);
    served->pid = fork();
    ck_assert_int_ge(served->pid, 0);
    if (served->pid == 0)
        become_daemon(binary, door, ends[1]);
    close(door);
    close(ends[1]);
    served->log = fdopen(ends[0], "r");
    char line[1024] = "";
    while (!strstr(line, "serving") || !strstr(line, "models="))
        ck_assert_msg(fgets(line, sizeof line, served->log) != NULL, "%s did not come to serve models/; it said: %s",
                      binary, line);
}

static int end(struct served *served)
{
    int status;
    kill(served->pid, SIGTERM);
    ck_assert_int_eq(waitpid(served->pid, &status, 0), served->pid);
    fclose(served->log);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void ask(const struct served *served, const struct bytes_buffer *request, struct bytes_buffer *reply)
{
    const struct timeval limit = {.tv_sec = LIMIT_S};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&served->address, sizeof served->address), 0);
    for (size_t sent = 0; sent < request->n;) {
        ssize_t n = send(fd, request->at + sent, request->n - sent, MSG_NOSIGNAL);
        ck_assert_msg(n > 0, "the daemon took %zu bytes of %zu", sent, request->n);
        sent += (size_t)n;
    }
    char piece[4096];
    reply->n = 0;
    reply->at[0] = '\0';
    for (ssize_t n; (n = recv(fd, piece, sizeof piece, 0)) > 0;)
        add(reply, piece, (size_t)n);
    close(fd);
}

/* --- comparing ---------------------------------------------------------------------------------------------------- */

/* "…" in the pattern is any run of bytes; everything else stands for itself. */
static bool fits(const char *pattern, size_t n_pattern, const char *text, size_t n_text)
{
    const size_t any = strlen(ANY);
    size_t p = 0, t = 0, star = SIZE_MAX, from = 0;
    while (t < n_text) {
        if (n_pattern - p >= any && memcmp(pattern + p, ANY, any) == 0) {
            star = p += any;
            from = t;
        } else if (p < n_pattern && pattern[p] == text[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++from;
        } else {
            return false;
        }
    }
    while (n_pattern - p >= any && memcmp(pattern + p, ANY, any) == 0)
        p += any;
    return p == n_pattern;
}

/* Takes the white space between JSON's words away, in place; the new length. */
static size_t squeeze(char *text, size_t n)
{
    size_t kept = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (quoted && text[i] == '\\' && i + 1 < n)
            text[kept++] = text[i++];
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && strchr(" \t\r\n", text[i]) && text[i])
            continue;
        text[kept++] = text[i];
    }
    return kept;
}

static bool body_fits(const struct block *want, const char *body, size_t n_body)
{
    static struct bytes_buffer pattern, got;
    pattern.n = got.n = 0;
    add(&pattern, want->at, (size_t)(want->end - want->at));
    add(&got, body, n_body);
    if (pattern.n && pattern.at[pattern.n - 1] == '\n' && (!n_body || body[n_body - 1] != '\n'))
        pattern.n--;
    if (pattern.at[0] == '{' || pattern.at[0] == '[') {
        pattern.n = squeeze(pattern.at, pattern.n);
        got.n = squeeze(got.at, got.n);
    }
    return fits(pattern.at, pattern.n, got.at, got.n);
}

/* Is the header among those of [head, end)? Names in any case, one blank after the colon. */
static bool has_header(const char *head, const char *head_end, const struct line *wanted)
{
    const char *colon = memchr(wanted->at, ':', (size_t)(wanted->end - wanted->at));
    size_t n_name = colon ? (size_t)(colon - wanted->at) + 1 : 0;
    for (const char *at = head; n_name && at < head_end;) {
        const char *stop = memmem(at, (size_t)(head_end - at), "\r\n", 2);
        stop = stop ? stop : head_end;
        if ((size_t)(stop - at) >= n_name && strncasecmp(at, wanted->at, n_name) == 0 &&
            fits(wanted->at + n_name, (size_t)(wanted->end - wanted->at) - n_name, at + n_name,
                 (size_t)(stop - at) - n_name))
            return true;
        at = stop + 2;
    }
    return false;
}

static bool reply_fits(const struct block *want, const struct bytes_buffer *reply)
{
    const char *head_end = memmem(reply->at, reply->n, "\r\n\r\n", 4);
    const char *status_end = memmem(reply->at, reply->n, "\r\n", 2);
    struct page rest = {.at = want->at, .end = want->end};
    struct line line;
    if (!head_end || !next_line(&rest, &line) ||
        !fits(line.at, (size_t)(line.end - line.at), reply->at, (size_t)(status_end - reply->at)))
        return false;
    while (next_line(&rest, &line) && line.at != line.end)
        if (!has_header(status_end + 2, head_end, &line))
            return false;
    const char *body = head_end + 4;
    const struct block rest_block = {.at = rest.at, .end = rest.end};
    return rest.at == rest.end || body_fits(&rest_block, body, reply->n - (size_t)(body - reply->at));
}

static bool play(const struct served *served, const struct block *asked, const struct block *want)
{
    static struct bytes_buffer request, reply;
    build_request(asked, &request);
    ask(served, &request, &reply);
    if (reply_fits(want, &reply))
        return true;
    fprintf(stderr, PAGE ":%d: the reply to this is not the one of line %d\n", asked->number, want->number);
    fprintf(stderr, "--- expected\n%.*s--- got\n%.*s\n---\n", (int)(want->end - want->at), want->at, (int)reply.n,
            reply.at);
    return false;
}

START_TEST(every_example_of_the_page_comes_out_as_it_says)
{
    const char *binary = getenv("PERCEPTD_BINARY");
    if (!binary || access(binary, X_OK) != 0) {
        printf("skipped: PERCEPTD_BINARY names no program, so " PAGE " was not played\n");
        return;
    }
    static struct bytes_buffer text;
    add_file(&text, PAGE);
    struct page page = {.at = text.at, .end = text.at + text.n};
    struct served served;
    folder_begin("api");
    make_sizes();
    make_pieces();
    start(&served, binary);
    int n = 0, n_failed = 0;
    for (struct block asked, want; next_block(&page, "```http", NULL, &asked); n++) {
        ck_assert_msg(next_block(&page, "```reply", "```http", &want), PAGE ":%d: no reply follows this request",
                      asked.number);
        n_failed += !play(&served, &asked, &want);
    }
    ck_assert_int_eq(end(&served), 0);
    folder_end();
    ck_assert_int_ge(n, EXAMPLES_MIN);
    ck_assert_msg(n_failed == 0, PAGE ": %d of %d examples came out otherwise", n_failed, n);
}
END_TEST

START_TEST(what_stands_for_anything_matches_any_run_and_nothing_else)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } rows[] = {
        {"", "", true},
        {"a", "a", true},
        {"a", "b", false},
        {"a", "ab", false},
        {ANY, "", true},
        {ANY, "abc", true},
        {"a" ANY, "abc", true},
        {ANY "c", "abc", true},
        {"a" ANY "c", "ac", true},
        {"a" ANY "c", "acb", false},
        {ANY "b" ANY "b", "abab", true},
        {ANY "bb", "ababb", true},
        {"ab", "a", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(fits(rows[i].pattern, strlen(rows[i].pattern), rows[i].text, strlen(rows[i].text)) ==
                          rows[i].fits,
                      "'%s' and '%s'", rows[i].pattern, rows[i].text);
}
END_TEST

START_TEST(white_space_counts_within_strings_alone)
{
    char text[] = "{ \"a b\" : [1,\n 2], \"c\\\" d\": \"e\" }";
    size_t n = squeeze(text, strlen(text));
    const char *want = "{\"a b\":[1,2],\"c\\\" d\":\"e\"}";
    ck_assert_uint_eq(n, strlen(want));
    ck_assert_int_eq(memcmp(text, want, n), 0);
}
END_TEST

Suite *http_api_md_suite(void);

Suite *http_api_md_suite(void)
{
    Suite *suite = suite_create("http_api_md");
    TCase *tcase = tcase_create("page");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, every_example_of_the_page_comes_out_as_it_says);
    tcase_add_test(tcase, what_stands_for_anything_matches_any_run_and_nothing_else);
    tcase_add_test(tcase, white_space_counts_within_strings_alone);
    suite_add_tcase(suite, tcase);
    return suite;
}
