/*
 * theirs.c - ONNX Runtime as a child process (ort.js) at the other end of two pipes. A whole batch is
 * written before anything is read: the child reads a request to its end before it computes, so neither
 * side waits for the other's buffer. The caller computes its own answers between asking and reading.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "differential/answer.h"

static struct {
    int to, from;
    pid_t child;
} theirs = {-1, -1, 0};

bool theirs_start(const char *script)
{
    int in[2], out[2];
    theirs_stop();
    if (pipe(in) != 0 || pipe(out) != 0)
        return false;
    signal(SIGPIPE, SIG_IGN);
    fflush(NULL);
    theirs.child = fork();
    if (theirs.child == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        execlp("node", "node", script, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    theirs.to = in[1];
    theirs.from = out[0];
    struct proto nothing = {0};
    bool there = theirs_ask(&nothing, 0) && theirs_answers(0, NULL, NULL);
    if (!there)
        theirs_stop();
    return there;
}

void theirs_stop(void)
{
    if (theirs.child <= 0)
        return;
    close(theirs.to);
    close(theirs.from);
    kill(theirs.child, SIGKILL);
    waitpid(theirs.child, NULL, 0);
    theirs.child = 0;
}

static void write_u32(struct proto *p, size_t value)
{
    uint32_t v = (uint32_t)value;
    proto_raw(p, &v, sizeof v);
}

static void write_bytes(struct proto *p, const void *at, size_t n)
{
    write_u32(p, n);
    proto_raw(p, at, n);
}

static void write_tensor(struct proto *p, const struct tensor *t)
{
    uint8_t head[2] = {(uint8_t)t->dtype, (uint8_t)t->rank};
    proto_raw(p, head, 2);
    proto_raw(p, t->dims, (size_t)t->rank * sizeof *t->dims);
    if (t->dtype != PERCEPT_STRING) {
        write_bytes(p, t->data, (size_t)tensor_elements(t) * tensor_dtype_bytes(t->dtype));
        return;
    }
    struct proto strings = {0};
    for (int64_t i = 0; i < tensor_elements(t); i++) {
        const struct percept_string *s = &((const struct percept_string *)t->data)[i];
        write_bytes(&strings, s->at, s->n_bytes);
    }
    write_bytes(p, strings.at, strings.n);
    proto_free(&strings);
}

void theirs_add(struct proto *request, struct bytes model, int n_feeds, const struct feed *feeds)
{
    write_bytes(request, model.at, bytes_size(model));
    write_u32(request, (size_t)n_feeds);
    for (int i = 0; i < n_feeds; i++) {
        write_bytes(request, feeds[i].name, strlen(feeds[i].name));
        write_tensor(request, &feeds[i].tensor);
    }
}

static bool write_all(const void *at, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t wrote = write(theirs.to, (const char *)at + done, n - done);
        if (wrote <= 0)
            return false;
        done += (size_t)wrote;
    }
    return true;
}

static bool read_all(void *at, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(theirs.from, (char *)at + done, n - done);
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

bool theirs_ask(const struct proto *request, uint32_t n_models)
{
    uint32_t head[2] = {(uint32_t)request->n + 4, n_models};
    return theirs.child > 0 && write_all(head, sizeof head) && write_all(request->at, request->n);
}

/* --- replies: written by our own script, so trusted to be well formed --------------------------------------------- */

struct reply {
    const uint8_t *at;
};

static uint32_t take_u32(struct reply *r)
{
    uint32_t v;
    memcpy(&v, r->at, sizeof v);
    r->at += sizeof v;
    return v;
}

static void take_tensor(struct reply *r, struct arena *arena, struct tensor *t)
{
    int64_t dims[256];
    enum percept_dtype dtype = (enum percept_dtype)r->at[0];
    int rank = r->at[1];
    memcpy(dims, r->at + 2, (size_t)rank * sizeof *dims);
    r->at += 2 + (size_t)rank * sizeof *dims;
    uint32_t n = take_u32(r);
    const uint8_t *end = r->at + n;
    *t = example_tensor(arena, dtype, rank < RANK_MAX ? rank : RANK_MAX, dims);
    if (dtype != PERCEPT_STRING)
        memcpy(t->data, r->at, n);
    for (int64_t i = 0; dtype == PERCEPT_STRING && r->at < end; i++) {
        struct percept_string *s = &((struct percept_string *)t->data)[i];
        s->n_bytes = take_u32(r);
        s->at = arena_text(arena, r->at, s->n_bytes);
        r->at += s->n_bytes;
    }
    r->at = end;
}

static void take_answer(struct reply *r, struct arena *arena, struct answer *a)
{
    *a = (struct answer){.outcome = (enum outcome) * r->at++};
    uint32_t n = take_u32(r);
    snprintf(a->why, sizeof a->why, "%.*s", (int)n, (const char *)r->at);
    r->at += n;
    a->n_out = (int)take_u32(r);
    for (int i = 0; i < a->n_out; i++)
        take_tensor(r, arena, &a->out[i]);
}

bool theirs_answers(uint32_t n_models, struct arena *arena, struct answer *answers)
{
    uint32_t n;
    if (theirs.child <= 0 || !read_all(&n, sizeof n))
        return false;
    uint8_t *reply = malloc(n);
    struct reply r = {reply};
    bool whole = reply && read_all(reply, n) && take_u32(&r) == n_models;
    for (uint32_t i = 0; whole && i < n_models; i++)
        take_answer(&r, arena, &answers[i]);
    free(reply);
    return whole;
}
