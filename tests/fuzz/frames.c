/* frames.c - any bytes as what a WebSocket's client sends: the messages do not depend on where the bytes are cut, and
 * what is wrong once ends it. The first byte says where. */
#include "http/websocket.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MOST 1000

static uint64_t told;

static void on_message(void *user, bool is_text, struct bytes message)
{
    (void)user;
    if (bytes_size(message) > MOST)
        abort();
    told = told * 31 + is_text;
    for (const uint8_t *at = message.at; at < message.end; at++)
        told = (told ^ *at) * 0x100000001b3;
}

static void ignore(void *user)
{
    (void)user;
}

static const struct websocket_calls calls = {.message = on_message, .sent = ignore, .leave = ignore, .over = ignore};

/* A digest of all messages; pieces of `at` bytes. */
static uint64_t run(const uint8_t *data, size_t n, size_t at)
{
    struct percept_err err = {0};
    char answers[4096];
    int pair[2];
    bool on = true;
    told = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return 0;
    struct websocket *ws = websocket_new(&calls, NULL, MOST, &err);
    if (!ws || !websocket_open(ws, pair[1], bytes_of(data, 0), 0, ignore, NULL))
        abort();
    for (size_t from = 0; from < n && on; from += at) {
        if (send(pair[0], data + from, n - from < at ? n - from : at, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        on = websocket_go_on(ws, true, true, 0);
        while (recv(pair[0], answers, sizeof answers, MSG_DONTWAIT) > 0)
            on = on && websocket_go_on(ws, true, true, 0);
    }
    websocket_free(ws);
    close(pair[0]);
    close(pair[1]);
    return told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2 || n > 4096)
        return 0;
    const size_t at = (size_t)data[0] + 1;
    if (run(data + 1, n - 1, n) != run(data + 1, n - 1, at))
        abort();
    return 0;
}
