/*
 * job.c - what concerns one job alone: lists of jobs, its deadline, the sentences of its ends. What becomes of it
 * is lifecycle.c's.
 */
#include "serve/job.h"

#include "base/budget.h"
#include "base/err.h"

#define LEVEL_NS ((int64_t)10000000000) /* 10 s */

void job_list_push(struct job_list *list, struct job *job)
{
    job->next = NULL;
    if (list->n)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->n++;
}

struct job *job_list_pop(struct job_list *list)
{
    struct job *job = list->first;
    if (!job)
        return NULL;
    list->first = job->next;
    list->n--;
    if (!list->n)
        list->last = NULL;
    job->next = NULL;
    return job;
}

void job_list_insert(struct job_list *list, struct job *job)
{
    const int64_t rank = job_rank(job);
    if (!list->n || job_rank(list->last) <= rank) {
        job_list_push(list, job);
        return;
    }
    struct job **at = &list->first;
    while (job_rank(*at) <= rank)
        at = &(*at)->next;
    job->next = *at;
    *at = job;
    list->n++;
}

bool job_list_remove(struct job_list *list, struct job *job)
{
    struct job *before = NULL;
    for (struct job *j = list->first; j; before = j, j = j->next) {
        if (j != job)
            continue;
        if (before)
            before->next = job->next;
        else
            list->first = job->next;
        if (list->last == job)
            list->last = before;
        list->n--;
        job->next = NULL;
        return true;
    }
    return false;
}

void job_expire(struct job *job)
{
    err_set(&job->err, ERR_TIMEOUT, "Request timeout expired");
}

void job_give_up(struct job *job)
{
    err_set(&job->err, ERR_CANCELLED, "the request was cancelled");
}

void job_note_shortage(struct job *job, size_t refusals)
{
    if (job->err.code == ERR_MEMORY && budget_refusals() != refusals)
        job->short_bytes = budget_refused_bytes();
}

void job_fall_short(struct job *job, size_t limit_bytes)
{
    if (job->short_bytes > limit_bytes)
        err_set(&job->err, ERR_TOO_LARGE,
                "this request takes %zu bytes of memory at once; all requests may take %zu (--memory-total)",
                job->short_bytes, limit_bytes);
    else
        err_set(&job->err, ERR_UNAVAILABLE,
                "the requests under way take the %zu bytes of memory that there are for them (--memory-total); try "
                "again",
                limit_bytes);
}

bool job_read_masks(struct bytes word, enum job_masks *masks)
{
    if (!bytes_is(word, "rle") && !bytes_is(word, "polygon"))
        return false;
    *masks = bytes_is(word, "rle") ? JOB_MASKS_RLE : JOB_MASKS_POLYGON;
    return true;
}

int64_t job_deadline(const struct job *job)
{
    if (job->parent)
        return job->parent->watch.deadline_ns;
    int64_t timeout_ns = job->default_timeout_ns;
    if (job->timeout_us > 0)
        timeout_ns = job->timeout_us < INT64_MAX / 1000 ? job->timeout_us * 1000 : INT64_MAX;
    return timeout_ns > 0 && timeout_ns < INT64_MAX - job->arrived_ns ? job->arrived_ns + timeout_ns : 0;
}

void job_set_deadline(struct job *job)
{
    job->watch.cancel = &job->cancelled;
    job->watch.deadline_ns = job_deadline(job);
}

/* A level is worth LEVEL_NS of waiting: more than any queue takes, and nobody waits for ever. */
int64_t job_rank(const struct job *job)
{
    const int level = job->priority ? job->priority : JOB_PRIORITY_DEFAULT;
    return job->queued_ns + level * LEVEL_NS;
}
