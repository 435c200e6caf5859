/* rig.c - see rig.h. */
#include "rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 3
#define REGION_PREFIX                                                                                                  \
    "perceptd-test" /* one for all tests: a later one removes what a crash left                    \
                     */
#define CROWD_MAX 64

/* What rig_end frees. */
static struct kept {
    struct kept *next;
    void *at;
} * kept;

void *rig_keep(void *at)
{
    struct kept *one = malloc(sizeof *one);
    ck_assert_ptr_nonnull(one);
    *one = (struct kept){kept, at};
    kept = one;
    return at;
}

static void free_kept(void)
{
    while (kept) {
        struct kept *next = kept->next;
        free(kept->at);
        free(kept);
        kept = next;
    }
}

bool rig_is_there(void)
{
    const char *binary = getenv("PERCEPTD_BINARY");
    if (binary && access(binary, X_OK) == 0)
        return true;
    printf("skipped: PERCEPTD_BINARY names no program\n");
    return false;
}

void rig_begin(struct rig *rig)
{
    *rig = (struct rig){.folder = "/tmp/perceptd-daemon-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(rig->folder));
    snprintf(rig->log, sizeof rig->log, "%s/log", rig->folder);
}

void rig_end(struct rig *rig)
{
    free(rig_shell(NULL, "rm -rf %s", rig->folder));
    free_kept();
}

void rig_finish(struct rig *rig)
{
    ck_assert_int_eq(rig_stop(rig), 0);
    rig_end(rig);
}

void rig_pause(int ms)
{
    poll(NULL, 0, ms);
}

int64_t rig_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct sockaddr_in local(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int rig_free_port(void)
{
    struct sockaddr_in address = local(0);
    socklen_t n = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, n), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* --- the program -------------------------------------------------------------------------------------------------- */

static void become(const struct rig *rig, char *arguments)
{
    char *argv[64] = {getenv("PERCEPTD_BINARY"), "serve"};
    int n = 2;
    for (char *rest, *word = strtok_r(arguments, " ", &rest); word && n < 61; word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    int log = open(rig->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int nothing = open("/dev/null", O_RDWR);
    setenv("PERCEPTD_REGION_PREFIX", REGION_PREFIX, 0);
    unsetenv("NOTIFY_SOCKET");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (log < 0 || nothing < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 || dup2(log, 2) < 0)
        _exit(126);
    execv(argv[0], argv);
    _exit(127);
}

static void spawn(struct rig *rig, const char *format, va_list args)
{
    char arguments[1024];
    int n = vsnprintf(arguments, sizeof arguments, format, args);
    if (!strstr(arguments, "--listen"))
        snprintf(arguments + n, sizeof arguments - (size_t)n, " --listen 127.0.0.1:0");
    FILE *log = fopen(rig->log, "a");
    ck_assert_ptr_nonnull(log);
    fseek(log, 0, SEEK_END);
    rig->log_from = ftell(log);
    fclose(log);
    rig->port = 0;
    rig->pid = fork();
    if (rig->pid == 0) {
        rig_default_signals();
        become(rig, arguments);
    }
    ck_assert_int_gt(rig->pid, 0);
}

void rig_default_signals(void)
{
    signal(SIGHUP, SIG_DFL);
}

void rig_spawn(struct rig *rig, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    spawn(rig, format, args);
    va_end(args);
}

void rig_start(struct rig *rig, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    spawn(rig, format, args);
    va_end(args);
    rig_listening(rig);
    rig_ready(rig);
}

static char *read_log(const struct rig *rig)
{
    static char text[1 << 16];
    FILE *file = fopen(rig->log, "r");
    ck_assert_ptr_nonnull(file);
    fseek(file, rig->log_from, SEEK_SET);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

bool rig_log_has(const struct rig *rig, const char *text)
{
    return strstr(read_log(rig), text) != NULL;
}

static void expect_alive(struct rig *rig)
{
    int status;
    if (waitpid(rig->pid, &status, WNOHANG) == rig->pid)
        ck_abort_msg("perceptd ended with status %d and says:\n%s", status, read_log(rig));
}

void rig_listening(struct rig *rig)
{
    int64_t until_us = rig_now_us() + (int64_t)RIG_PATIENCE_MS * 1000;
    static const char first[] = "http://127.0.0.1:"; /* of several places too */
    const char *at;
    while (!(at = strstr(read_log(rig), first))) {
        expect_alive(rig);
        ck_assert_msg(rig_now_us() < until_us, "perceptd does not listen; it says:\n%s", read_log(rig));
        rig_pause(LOOK_MS);
    }
    rig->port = (int)strtol(at + strlen(first), NULL, 10);
}

/* Status of GET /v2/health/ready, 0 while nobody answers. */
static int ready_status(int port)
{
    struct client client;
    struct reply reply = {0};
    if (client_open(&client, port)) {
        if (client_request(&client, "GET", "/v2/health/ready", "", NULL, 0))
            reply = client_reply(&client);
        client_close(&client);
    }
    reply_free(&reply);
    return reply.status;
}

void rig_ready(struct rig *rig)
{
    int64_t until_us = rig_now_us() + (int64_t)RIG_PATIENCE_MS * 1000;
    int status;
    while ((status = ready_status(rig->port)) != 200) {
        expect_alive(rig);
        ck_assert_msg(rig_now_us() < until_us, "readiness stays %d; perceptd says:\n%s", status, read_log(rig));
        rig_pause(LOOK_MS);
    }
}

int rig_wait(struct rig *rig)
{
    int64_t until_us = rig_now_us() + (int64_t)RIG_PATIENCE_MS * 1000;
    int status;
    while (waitpid(rig->pid, &status, WNOHANG) == 0) {
        ck_assert_msg(rig_now_us() < until_us, "perceptd does not end; it says:\n%s", read_log(rig));
        rig_pause(LOOK_MS);
    }
    rig->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int rig_stop(struct rig *rig)
{
    kill(rig->pid, SIGTERM);
    int code = rig_wait(rig);
    if (code)
        printf("perceptd ended with %d and says:\n%s\n", code, read_log(rig));
    return code;
}

long rig_kilobytes(pid_t pid, const char *file, const char *name)
{
    char path[64], line[256];
    long value = -1;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *stream = fopen(path, "r");
    while (stream && value < 0 && fgets(line, sizeof line, stream))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtol(line + strlen(name), NULL, 10);
    if (stream)
        fclose(stream);
    return value;
}

char *rig_shell(size_t *n_bytes, const char *format, ...)
{
    char command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    FILE *out = popen(command, "r");
    ck_assert_ptr_nonnull(out);
    size_t capacity = 1 << 16, n = 0, got = 1;
    char *text = malloc(capacity);
    while (text && got) {
        if (capacity - n < 2)
            text = realloc(text, capacity *= 2);
        ck_assert_ptr_nonnull(text);
        got = fread(text + n, 1, capacity - n - 1, out);
        n += got;
    }
    text[n] = '\0';
    int status = pclose(out);
    ck_assert_msg(status == 0, "'%s' ended with %d: %.500s", command, status, text);
    if (n_bytes)
        *n_bytes = n;
    return text;
}

void rig_write(const struct rig *rig, const char *name, const void *at, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", rig->folder, name);
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    ck_assert_uint_eq(fwrite(at, 1, n, file), n);
    fclose(file);
}

void rig_write_text(const struct rig *rig, const char *name, const char *text)
{
    rig_write(rig, name, text, strlen(text));
}

void rig_write_repository(const struct rig *rig, const char *name, struct proto graph, const char *config)
{
    char path[96];
    struct proto model = proto_model(graph, 13);
    free(rig_shell(NULL, "mkdir -p %s/repo/%s/1", rig->folder, name));
    snprintf(path, sizeof path, "repo/%s/1/model.onnx", name);
    rig_write(rig, path, model.at, model.n);
    snprintf(path, sizeof path, "repo/%s/config.pbtxt", name);
    rig_write_text(rig, path, config);
    proto_free(&model);
}

/* --- a client ----------------------------------------------------------------------------------------------------- */

bool client_open(struct client *client, int port)
{
    struct sockaddr_in address = local(port);
    struct timeval patience = {.tv_sec = RIG_PATIENCE_MS / 1000};
    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (client->fd < 0)
        return false;
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return true;
    client_close(client);
    return false;
}

void client_close(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    free(client->bytes);
    *client = (struct client){.fd = -1};
}

bool client_send(struct client *client, const void *bytes, size_t n_bytes)
{
    const char *at = bytes;
    while (n_bytes > 0) {
        ssize_t n = send(client->fd, at, n_bytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        n_bytes -= (size_t)n;
    }
    return true;
}

/* Head and body in one piece, as clients send small requests. */
/* Do the header lines have this one? Others may end with its name. */
static bool has_line(const char *lines, const char *name)
{
    for (const char *at = lines; (at = strstr(at, name)) != NULL; at++)
        if (at == lines || at[-1] == '\n')
            return true;
    return false;
}

bool client_request(struct client *client, const char *method, const char *path, const char *more, const void *body,
                    size_t n_bytes)
{
    char head[2048];
    int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method, path, more);
    if (body && !has_line(more, "Content-Length:") && !has_line(more, "Transfer-Encoding:"))
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n", n_bytes);
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    char *whole = malloc((size_t)n + n_bytes);
    if (!whole)
        return false;
    memcpy(whole, head, (size_t)n);
    if (n_bytes)
        memcpy(whole + n, body, n_bytes);
    bool sent = client_send(client, whole, (size_t)n + n_bytes);
    free(whole);
    return sent;
}

/* At least one more byte, or false. */
static bool receive(struct client *client)
{
    if (client->capacity - client->n_bytes < 4096) {
        size_t capacity = client->capacity * 2 + 16384;
        char *bytes = realloc(client->bytes, capacity);
        if (!bytes)
            return false;
        client->bytes = bytes;
        client->capacity = capacity;
    }
    ssize_t n;
    do /* a socket with a timeout is interrupted by signals that nobody handles, as by the end of another's child */
        n = recv(client->fd, client->bytes + client->n_bytes, client->capacity - client->n_bytes - 1, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    client->n_bytes += (size_t)n;
    client->bytes[client->n_bytes] = '\0';
    return true;
}

static char *copy(const char *at, size_t n)
{
    char *text = malloc(n + 1);
    if (text) {
        memcpy(text, at, n);
        text[n] = '\0';
    }
    return text;
}

/* Takes the chunks behind a head of `from` bytes together; false when they end in the middle. */
static bool take_chunks(struct client *client, size_t from, struct reply *reply)
{
    char *body = malloc(1);
    for (size_t at = from;;) {
        const char *line;
        while (!(line = client->n_bytes > at ? strstr(client->bytes + at, "\r\n") : NULL))
            if (!receive(client)) {
                free(body);
                return false;
            }
        const size_t n = strtoul(client->bytes + at, NULL, 16), data = (size_t)(line - client->bytes) + 2;
        while (client->n_bytes < data + n + 2)
            if (!receive(client)) {
                free(body);
                return false;
            }
        body = realloc(body, reply->n_bytes + n + 1);
        memcpy(body + reply->n_bytes, client->bytes + data, n);
        reply->n_bytes += n;
        body[reply->n_bytes] = '\0';
        at = data + n + 2;
        if (n == 0) {
            reply->body = body;
            client->n_bytes -= at;
            memmove(client->bytes, client->bytes + at, client->n_bytes + 1);
            return true;
        }
    }
}

struct reply client_reply(struct client *client)
{
    struct reply reply = {0};
    const char *end = NULL;
    while (!(end = client->n_bytes ? strstr(client->bytes, "\r\n\r\n") : NULL))
        if (!receive(client)) {
            reply.status = client->n_bytes ? -1 : 0;
            return reply;
        }
    size_t n_head = (size_t)(end - client->bytes) + 4;
    reply.status = -1;
    reply.head = copy(client->bytes, n_head);
    if (reply.head && strcasestr(reply.head, "\r\nTransfer-Encoding: chunked\r\n")) {
        if (take_chunks(client, n_head, &reply)) {
            reply.status = (int)strtol(reply.head + 9, NULL, 10);
            reply.close = strcasestr(reply.head, "\r\nConnection: close\r\n") != NULL;
        }
        return reply;
    }
    const char *length = reply.head ? strcasestr(reply.head, "\r\nContent-Length:") : NULL;
    if (!length || strncmp(reply.head, "HTTP/1.1 ", 9) != 0)
        return reply;
    reply.n_bytes = strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
    while (client->n_bytes < n_head + reply.n_bytes)
        if (!receive(client))
            return reply;
    reply.status = (int)strtol(reply.head + 9, NULL, 10);
    reply.close = strcasestr(reply.head, "\r\nConnection: close\r\n") != NULL;
    reply.body = copy(client->bytes + n_head, reply.n_bytes);
    client->n_bytes -= n_head + reply.n_bytes;
    memmove(client->bytes, client->bytes + n_head + reply.n_bytes, client->n_bytes + 1);
    return reply;
}

void reply_free(struct reply *reply)
{
    free(reply->head);
    free(reply->body);
    reply->head = reply->body = NULL;
}

/* --- one request -------------------------------------------------------------------------------------------------- */

struct reply rig_ask(const struct rig *rig, const char *method, const char *path, const char *more, const void *body,
                     size_t n_bytes)
{
    struct client client;
    ck_assert_msg(client_open(&client, rig->port), "cannot connect to port %d: %s", rig->port, strerror(errno));
    client_request(&client, method, path, more, body, n_bytes);
    struct reply reply = client_reply(&client);
    client_close(&client);
    ck_assert_msg(reply.status > 0, "%s %s: the connection ended %s an answer; perceptd says:\n%s", method, path,
                  reply.status ? "within" : "without", read_log(rig));
    return reply;
}

struct reply rig_get(const struct rig *rig, const char *path)
{
    return rig_ask(rig, "GET", path, "", NULL, 0);
}

struct reply rig_post_text(const struct rig *rig, const char *path, const char *text)
{
    return rig_ask(rig, "POST", path, "Content-Type: text/plain\r\n", text, strlen(text));
}

void rig_expect(const struct rig *rig, const char *path, const char *body, int status, const char *part)
{
    struct reply reply = rig_ask(rig, "POST", path, "", body, strlen(body));
    ck_assert_msg(reply.status == status && strstr(reply.body, part), "%s %s gives %d: %s", path, body, reply.status,
                  reply.body);
    reply_free(&reply);
}

double rig_metric(const struct rig *rig, const char *begin)
{
    struct reply reply = rig_get(rig, "/metrics");
    ck_assert_int_eq(reply.status, 200);
    double sum = 0;
    bool found = false;
    for (const char *line = reply.body; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, begin, strlen(begin)) != 0)
            continue;
        const char *value = strchr(line, '}');
        value = value ? value + 1 : strchr(line, ' ');
        sum += value ? strtod(value, NULL) : 0;
        found = true;
    }
    ck_assert_msg(found, "/metrics has no line that begins with %s", begin);
    reply_free(&reply);
    return sum;
}

/* --- what is in an answer ----------------------------------------------------------------------------------------- */

static json_t *load(const struct reply *reply)
{
    return reply->body ? json_loadb(reply->body, reply->n_bytes, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

int reply_floats(const struct reply *reply, float *to, int most)
{
    json_t *body = load(reply);
    json_t *data = json_object_get(json_array_get(json_object_get(body, "outputs"), 0), "data");
    int n = json_is_array(data) ? (int)json_array_size(data) : -1;
    for (int i = 0; i < n && i < most; i++)
        to[i] = (float)json_number_value(json_array_get(data, (size_t)i));
    json_decref(body);
    return n;
}

const char *reply_label(const struct reply *reply, int item, char *label, size_t n)
{
    json_t *body = load(reply);
    json_t *list = json_array_get(json_object_get(body, "predictions"), (size_t)item);
    const char *text = json_string_value(json_object_get(json_array_get(list, 0), "label"));
    snprintf(label, n, "%s", text ? text : "");
    json_decref(body);
    return label;
}

/* --- a crowd ------------------------------------------------------------------------------------------------------ */

struct poster {
    int port, first, step, n_posts;
    struct rig_post *posts;
    pthread_t thread;
};

static void *post_all(void *at)
{
    struct poster *poster = at;
    struct client client = {.fd = -1};
    for (int i = poster->first; i < poster->n_posts; i += poster->step) {
        struct rig_post *post = &poster->posts[i];
        char more[160];
        snprintf(more, sizeof more, "Content-Type: %s\r\n", post->type);
        if (client.fd < 0 && !client_open(&client, poster->port))
            continue;
        client_request(&client, "POST", post->path, more, post->body, post->n_bytes);
        post->reply = client_reply(&client);
        if (post->reply.status <= 0 || post->reply.close)
            client_close(&client);
    }
    client_close(&client);
    return NULL;
}

void rig_crowd(const struct rig *rig, int n_clients, struct rig_post *posts, int n_posts)
{
    struct poster posters[CROWD_MAX];
    ck_assert_int_le(n_clients, CROWD_MAX);
    for (int i = 0; i < n_clients; i++) {
        posters[i] =
            (struct poster){.port = rig->port, .first = i, .step = n_clients, .n_posts = n_posts, .posts = posts};
        ck_assert_int_eq(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    for (int i = 0; i < n_clients; i++)
        pthread_join(posters[i].thread, NULL);
    for (int i = 0; i < n_posts; i++) {
        rig_keep(posts[i].reply.head);
        rig_keep(posts[i].reply.body);
    }
    for (int i = 0; i < n_posts; i++)
        ck_assert_msg(posts[i].reply.status == 200, "post %d of %d got %d: %s", i, n_posts, posts[i].reply.status,
                      posts[i].reply.body ? posts[i].reply.body : "nothing");
}
