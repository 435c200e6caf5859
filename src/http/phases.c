/*
 * phases.c - the lists of phases.h. Each is in the order of moved_ms, because a connection joins at
 * the end, with the present time, and goes to the end again when it moves. Hence the one that was
 * quiet longest is the first of a list. Deadlines count from since_ms, which a byte now and then
 * does not put off; who looks for those walks the whole list.
 */
#include "http/phases.h"

#include <stddef.h>

static void leave(struct phases *phases, struct connection *connection)
{
    struct phase_list *list = &phases->lists[connection->phase];
    *(connection->before ? &connection->before->after : &list->first) = connection->after;
    *(connection->after ? &connection->after->before : &list->last) = connection->before;
    list->n--;
}

static void append(struct phases *phases, struct connection *connection, enum phase phase, uint64_t now_ms)
{
    struct phase_list *list = &phases->lists[phase];
    connection->phase = phase;
    connection->moved_ms = now_ms;
    connection->before = list->last;
    connection->after = NULL;
    *(list->last ? &list->last->after : &list->first) = connection;
    list->last = connection;
    list->n++;
}

static bool waits_for_bytes(enum phase phase)
{
    return phase == PHASE_HEADER || phase == PHASE_BODY || phase == PHASE_IDLE;
}

void phases_add(struct phases *phases, struct connection *connection, uint64_t now_ms)
{
    connection->since_ms = now_ms;
    append(phases, connection, PHASE_HEADER, now_ms);
}

void phases_remove(struct phases *phases, struct connection *connection)
{
    leave(phases, connection);
}

void phases_enter(struct phases *phases, struct connection *connection, enum phase phase, uint64_t now_ms)
{
    if (connection->phase == PHASE_CUT)
        return;
    if (connection->ended && waits_for_bytes(phase))
        phase = PHASE_LEFT;
    if (phase != connection->phase || phase != PHASE_LEFT)
        connection->since_ms = now_ms;
    leave(phases, connection);
    append(phases, connection, phase, now_ms);
}

void phases_moved(struct phases *phases, struct connection *connection, uint64_t now_ms)
{
    leave(phases, connection);
    append(phases, connection, connection->phase, now_ms);
}

void phases_end(struct phases *phases, struct connection *connection, uint64_t now_ms)
{
    connection->ended = true;
    if (waits_for_bytes(connection->phase))
        phases_enter(phases, connection, PHASE_LEFT, now_ms);
}

static struct connection *first_of(const struct phases *phases, enum phase phase, bool over)
{
    struct connection *at = phases->lists[phase].first;
    while (at && at->over != over)
        at = at->after;
    return at;
}

struct connection *phases_longest(const struct phases *phases, bool over)
{
    static const enum phase waiting[] = {PHASE_IDLE, PHASE_HEADER, PHASE_BODY};
    struct connection *longest = first_of(phases, PHASE_LEFT, over);
    if (longest)
        return longest;
    for (size_t i = 0; i < sizeof waiting / sizeof *waiting; i++) {
        struct connection *at = first_of(phases, waiting[i], over);
        if (at && (!longest || at->moved_ms < longest->moved_ms))
            longest = at;
    }
    return longest || !over ? longest : first_of(phases, PHASE_REPLY, over);
}
