/*
 * daemon.c - forks a server around a folder of two models and talks to it (daemon.h).
 *
 * The server is a process so that its stop, its exit status and its leaks are what is tested;
 * signals reach its loop by uv_signal as in the program. The port comes back through a pipe once
 * the catalog has loaded.
 */
#include "daemon.h"

#include "base/arena.h"
#include "base/file.h"
#include "graph/proto.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#define PATIENCE_MS 20000

int daemon_fd_limit;
size_t daemon_fail_at;
bool daemon_fail_on;
char daemon_input = 'x';
bool daemon_chain;
const char *daemon_door;
const char *daemon_manifest;

/* A ModelProto: Relu from x [N,2] to y [N,2], opset 13. */
static const uint8_t relu_onnx[] = {
    0x08, 0x08, 0x3a, 0x3d, 0x0a, 0x0c, 0x0a, 0x01, 0x78, 0x12, 0x01, 0x79, 0x22, 0x04, 0x52, 0x65, 0x6c, 0x75,
    0x12, 0x01, 0x67, 0x5a, 0x14, 0x0a, 0x01, 0x78, 0x12, 0x0f, 0x0a, 0x0d, 0x08, 0x01, 0x12, 0x09, 0x0a, 0x03,
    0x12, 0x01, 0x4e, 0x0a, 0x02, 0x08, 0x02, 0x62, 0x14, 0x0a, 0x01, 0x79, 0x12, 0x0f, 0x0a, 0x0d, 0x08, 0x01,
    0x12, 0x09, 0x0a, 0x03, 0x12, 0x01, 0x4e, 0x0a, 0x02, 0x08, 0x02, 0x42, 0x02, 0x10, 0x0d,
};

struct settings daemon_settings(void)
{
    return (struct settings){.workers = 2,
                             .private_regions = true,
                             .memory_limit_bytes = (size_t)1 << 28,
                             .max_batch_size = 8,
                             .max_queue_size = 64,
                             .max_body_bytes = 64 << 10,
                             .max_pixels = 1 << 20,
                             .max_connections = 100,
                             .header_timeout_ms = 400,
                             .body_timeout_ms = 600,
                             .idle_timeout_ms = 20000,
                             .drain_timeout_ms = 10000,
                             .server_id = "perceptd"};
}

/* The daemon's side. */

struct host {
    struct loop *loop;
    struct catalog *catalog;
    struct repository *repository;
    struct server *server;
    const struct settings *settings;
    int tell; /* pipe */
    uv_signal_t term, interrupt, hangup;
};

static void host_on_drained(void *user)
{
    struct host *host = user;
    uv_close((uv_handle_t *)&host->term, NULL);
    uv_close((uv_handle_t *)&host->interrupt, NULL);
    uv_close((uv_handle_t *)&host->hangup, NULL);
    server_free(host->server);
    loop_stop(host->loop);
}

static void host_on_signal(uv_signal_t *handle, int signal)
{
    struct host *host = handle->data;
    if (signal == SIGHUP) {
        server_read_certificate(host->server);
        return;
    }
    server_drain(host->server, host_on_drained, host);
    if (signal == SIGINT)
        server_stop(host->server);
}

static void host_watch(struct host *host, uv_signal_t *handle, int signal)
{
    uv_signal_init(loop_uv(host->loop), handle);
    handle->data = host;
    uv_signal_start(handle, host_on_signal, signal);
}

static void host_listen(struct host *host)
{
    struct percept_err err = {0};
    host->server = server_new(host->loop, host->catalog, host->repository, host->settings,
                              (const char *[]){"127.0.0.1:0+plain", daemon_door}, daemon_door ? 2 : 1, &err);
    int ports[2] = {0};
    for (int i = 0; host->server && i < (daemon_door ? 2 : 1); i++)
        ports[i] = server_port(host->server, i);
    if (!host->server)
        fprintf(stderr, "%s\n", err.text);
    if (write(host->tell, ports, sizeof ports) != (ssize_t)sizeof ports || !host->server)
        exit(9);
    arena_fail_at(daemon_fail_at, daemon_fail_on);
}

static void host_on_change(void *user, struct served *served)
{
    struct host *host = user;
    (void)served;
    if (!catalog_loading(host->catalog) && !host->server)
        host_listen(host);
}

static void limit_fds(void)
{
    struct rlimit limit = {(rlim_t)daemon_fd_limit, (rlim_t)daemon_fd_limit};
    if (daemon_fd_limit)
        setrlimit(RLIMIT_NOFILE, &limit);
}

static int host_main(const char *folder, const struct settings *settings, int tell)
{
    struct percept_err err = {0};
    struct host host = {.settings = settings, .tell = tell, .loop = loop_new(settings->workers, &err)};
    host.catalog = host.loop ? catalog_new(host.loop, settings, &err) : NULL;
    host.repository = host.catalog ? repository_new(host.loop, host.catalog, settings, &err) : NULL;
    if (!host.repository)
        return 9;
    host_watch(&host, &host.term, SIGTERM);
    host_watch(&host, &host.interrupt, SIGINT);
    host_watch(&host, &host.hangup, SIGHUP);
    catalog_on_change(host.catalog, host_on_change, &host);
    if (!repository_add(host.repository, folder, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 9;
    }
    loop_run(host.loop);
    catalog_free(host.catalog);
    repository_free(host.repository);
    loop_free(host.loop);
    return 0;
}

static void write_model(const struct daemon *daemon, const char *name, const void *bytes, size_t n_bytes)
{
    char path[200];
    struct percept_err err = {0};
    snprintf(path, sizeof path, "%s/%s", daemon->folder, name);
    ck_assert(mkdir(path, 0755) == 0);
    snprintf(path, sizeof path, "%s/%s/model.onnx", daemon->folder, name);
    ck_assert_msg(file_write(path, bytes, n_bytes, &err), "%s", err.text);
}

static void write_beside(const struct daemon *daemon, const char *name, const char *text)
{
    char path[200];
    struct percept_err err = {0};
    snprintf(path, sizeof path, "%s/%s", daemon->folder, name);
    ck_assert_msg(file_write(path, text, strlen(text), &err), "%s", err.text);
}

static void write_chain(const struct daemon *daemon)
{
    enum { LETTERS = 5 };
    float table[LETTERS][LETTERS] = {{0}};
    const float one = 1;
    for (int i = 0; i < LETTERS; i++)
        table[i][(i + 1) % LETTERS] = 9;
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Gather", "", "table,ids", "scores"));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "h,one", "hn"));
    proto_add(&graph, GRAPH_INITIALIZER,
              proto_tensor("table", PERCEPT_FLOAT, 2, (int64_t[]){LETTERS, LETTERS}, table, sizeof table));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("one", PERCEPT_FLOAT, 1, (int64_t[]){1}, &one, sizeof one));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("ids", PERCEPT_INT64, 2, (int64_t[]){-1, 1}, "batch,"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("h", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}, "batch,"));
    proto_add(&graph, GRAPH_OUTPUT,
              proto_value_named("scores", PERCEPT_FLOAT, 3, (int64_t[]){-1, 1, LETTERS}, "batch,,"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("hn", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}, "batch,"));
    struct proto model = proto_model(graph, 13);
    write_model(daemon, "chain", model.at, model.n);
    proto_free(&model);
    write_beside(daemon, "chain/letters.txt", "a\nb\nc\nd\ne\n");
    write_beside(daemon, "chain/manifest.json",
                 "{\"manifest\":1,\"inputs\":{\"ids\":{\"kind\":\"text\",\"tokenizer\":\"characters\","
                 "\"vocabulary\":\"letters.txt\",\"max_length\":2}},"
                 "\"sequence\":{\"state\":[{\"input\":\"h\",\"output\":\"hn\"}]},"
                 "\"generate\":{\"input\":\"ids\",\"output\":\"scores\",\"max_new_tokens\":5000}}");
}

static void write_maps(const struct daemon *daemon)
{
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "", "x", "y"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_FLOAT, 4, (int64_t[]){-1, 2, 2, 3}, "batch,,,"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 4, (int64_t[]){-1, 2, 2, 3}, "batch,,,"));
    struct proto model = proto_model(graph, 13);
    write_model(daemon, "maps", model.at, model.n);
    proto_free(&model);
    write_beside(daemon, "maps/config.pbtxt",
                 "max_batch_size: 8 input [{name: \"x\" data_type: TYPE_FP32 format: FORMAT_NHWC dims: [2, 2, 3]}]"
                 " output [{name: \"y\" data_type: TYPE_FP32 dims: [2, 2, 3]}]");
}

static void make_folder(struct daemon *daemon)
{
    strcpy(daemon->folder, "/tmp/perceptd-http-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(daemon->folder));
    uint8_t relu[sizeof relu_onnx];
    for (size_t i = 0; i < sizeof relu; i++)
        relu[i] = relu_onnx[i] == 'x' ? (uint8_t)daemon_input : relu_onnx[i];
    write_model(daemon, "relu", relu, sizeof relu);
    write_model(daemon, "broken", "no model", 8);
    if (daemon_manifest)
        write_beside(daemon, "relu/manifest.json", daemon_manifest);
    if (daemon_chain) {
        write_chain(daemon);
        write_maps(daemon);
    }
}

static void remove_folder(const struct daemon *daemon)
{
    static const char *const names[] = {"relu/model.onnx",
                                        "relu/manifest.json",
                                        "relu",
                                        "broken/model.onnx",
                                        "broken",
                                        "chain/letters.txt",
                                        "chain/manifest.json",
                                        "maps/config.pbtxt",
                                        "maps/model.onnx",
                                        "maps",
                                        "chain/model.onnx",
                                        "chain",
                                        "keys",
                                        ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[200];
        snprintf(path, sizeof path, "%s/%s", daemon->folder, names[i]);
        remove(path);
    }
}

void daemon_start(struct daemon *daemon, const struct settings *settings, const char *api_keys)
{
    int tell[2];
    char path[200];
    struct percept_err err = {0};
    struct settings used = settings ? *settings : daemon_settings();
    make_folder(daemon);
    snprintf(path, sizeof path, "%s/keys", daemon->folder);
    if (api_keys) {
        ck_assert_msg(file_write(path, api_keys, strlen(api_keys), &err), "%s", err.text);
        used.api_key_file = path;
    }
    signal(SIGPIPE, SIG_IGN);
    ck_assert(pipe(tell) == 0);
    daemon->pid = fork();
    ck_assert_int_ge(daemon->pid, 0);
    if (daemon->pid == 0) {
        close(tell[0]);
        limit_fds();
        exit(host_main(daemon->folder, &used, tell[1]));
    }
    close(tell[1]);
    int ports[2];
    ck_assert_int_eq(read(tell[0], ports, sizeof ports), sizeof ports);
    close(tell[0]);
    daemon->port = ports[0];
    daemon->door_port = ports[1];
    ck_assert_int_gt(daemon->port, 0);
}

void daemon_signal(const struct daemon *daemon, int signal)
{
    ck_assert_int_eq(kill(daemon->pid, signal), 0);
}

int daemon_wait(struct daemon *daemon)
{
    int status;
    ck_assert_int_eq(waitpid(daemon->pid, &status, 0), daemon->pid);
    remove_folder(daemon);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int daemon_end(struct daemon *daemon)
{
    daemon_signal(daemon, SIGTERM);
    return daemon_wait(daemon);
}

/* The client's side. */

static void wait_for(const struct client *client, short events)
{
    struct pollfd waiting = {.fd = client->fd, .events = events};
    ck_assert_msg(poll(&waiting, 1, PATIENCE_MS) == 1, "the server does not answer");
}

static void open_at(struct client *client, int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    client->n_bytes = 0;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(client->fd, 0);
    ck_assert_int_eq(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
}

void client_open(struct client *client, const struct daemon *daemon)
{
    open_at(client, daemon->port);
}

void client_open_door(struct client *client, const struct daemon *daemon)
{
    open_at(client, daemon->door_port);
}

void client_close(struct client *client)
{
    close(client->fd);
}

bool client_send_bytes(struct client *client, const void *bytes, size_t n_bytes)
{
    const char *at = bytes;
    while (n_bytes > 0) {
        wait_for(client, POLLOUT);
        ssize_t n = send(client->fd, at, n_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            return false;
        at += n > 0 ? n : 0;
        n_bytes -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

void client_send(struct client *client, const char *text)
{
    ck_assert(client_send_bytes(client, text, strlen(text)));
}

/* More bytes; false at the stream's end, however it came. */
static bool receive(struct client *client)
{
    wait_for(client, POLLIN);
    size_t room = sizeof client->bytes - 1 - client->n_bytes;
    ck_assert_uint_gt(room, 0);
    ssize_t n = recv(client->fd, client->bytes + client->n_bytes, room, 0);
    client->n_bytes += n > 0 ? (size_t)n : 0;
    client->bytes[client->n_bytes] = '\0';
    return n > 0;
}

static void take(struct client *client, size_t n_bytes)
{
    client->n_bytes -= n_bytes;
    memmove(client->bytes, client->bytes + n_bytes, client->n_bytes + 1);
}

static size_t content_length(const char *head)
{
    const char *at = strcasestr(head, "\r\nContent-Length:");
    return at ? (size_t)strtoul(at + 17, NULL, 10) : 0;
}

struct reply client_reply_to_head(struct client *client)
{
    struct reply reply = {0};
    const char *end;
    client->bytes[client->n_bytes] = '\0';
    while (!(end = strstr(client->bytes, "\r\n\r\n")))
        ck_assert_msg(receive(client), "the server hung up without a reply");
    size_t n = (size_t)(end - client->bytes) + 4;
    ck_assert_uint_lt(n, sizeof reply.head);
    memcpy(reply.head, client->bytes, n);
    ck_assert_msg(strncmp(reply.head, "HTTP/1.", 7) == 0, "no status line: %s", reply.head);
    reply.status = atoi(reply.head + 9);
    take(client, n);
    return reply.status == 100 ? client_reply_to_head(client) : reply;
}

struct reply client_reply(struct client *client)
{
    struct reply reply = client_reply_to_head(client);
    reply.n_bytes = content_length(reply.head);
    ck_assert_uint_lt(reply.n_bytes, sizeof reply.body);
    while (client->n_bytes < reply.n_bytes)
        ck_assert_msg(receive(client), "the server hung up within a reply");
    memcpy(reply.body, client->bytes, reply.n_bytes);
    take(client, reply.n_bytes);
    return reply;
}

void client_rest(struct client *client)
{
    while (receive(client))
        ;
}

bool client_closed(struct client *client)
{
    return client->n_bytes == 0 && !receive(client);
}

int client_status_or_close(struct client *client)
{
    client->bytes[client->n_bytes] = '\0';
    while (!strstr(client->bytes, "\r\n\r\n"))
        if (!receive(client))
            return 0;
    return client_reply(client).status;
}

struct reply daemon_ask(const struct daemon *daemon, const char *method, const char *path, const char *more,
                        const char *body)
{
    static struct client client;
    char head[8192];
    client_open(&client, daemon);
    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: test\r\n%sContent-Length: %zu\r\n\r\n", method, path, more,
             strlen(body));
    client_send(&client, head);
    client_send(&client, body);
    struct reply reply = client_reply(&client);
    client_close(&client);
    return reply;
}

struct reply daemon_get(const struct daemon *daemon, const char *path)
{
    return daemon_ask(daemon, "GET", path, "", "");
}

void client_send_infer(struct client *client, const char *more)
{
    char head[1024];
    snprintf(head, sizeof head, "POST " RELU_PATH " HTTP/1.1\r\nHost: test\r\n%sContent-Length: %zu\r\n\r\n" RELU_BODY,
             more, strlen(RELU_BODY));
    client_send(client, head);
}

bool reply_has(const struct reply *reply, const char *text)
{
    return strstr(reply->body, text) != NULL;
}

bool reply_has_header(const struct reply *reply, const char *line)
{
    char whole[512];
    snprintf(whole, sizeof whole, "\r\n%s\r\n", line);
    return strcasestr(reply->head, whole) != NULL;
}

long daemon_metric(const struct daemon *daemon, const char *name)
{
    struct reply reply = daemon_get(daemon, "/metrics");
    char line[200];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(reply.body, line);
    ck_assert_msg(at != NULL, "no %s", name);
    return atol(at + strlen(line));
}

void daemon_wait_for(const struct daemon *daemon, const char *name, long value)
{
    long seen = -1;
    for (int tries = 0; tries < 20000; tries++)
        if ((seen = daemon_metric(daemon, name)) == value)
            return;
    ck_abort_msg("%s stays %ld and does not become %ld", name, seen, value);
}
