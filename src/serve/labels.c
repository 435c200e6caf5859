/*
 * labels.c - see labels.h. A label is written like a model's name and begins with a letter, so that
 * nobody takes "3" for a version that it is not. One that was taken away keeps its place: they are
 * few, and the same ones are set again and again.
 */
#include "serve/labels.h"

#include "base/err.h"
#include "serve/scan.h"

#include <ctype.h>
#include <string.h>

struct label {
    struct label *next;
    const char *model, *name;
    int64_t version; /* 0: taken away */
};

static struct label *find(const struct labels *labels, const char *model, const char *name)
{
    struct label *label = labels->first;
    while (label && (strcmp(label->model, model) != 0 || strcmp(label->name, name) != 0))
        label = label->next;
    return label;
}

static struct label *add(struct labels *labels, const char *model, const char *name)
{
    struct label *label = arena_alloc(&labels->arena, sizeof *label);
    const char *own_model = arena_text(&labels->arena, model, strlen(model));
    const char *own_name = arena_text(&labels->arena, name, strlen(name));
    if (!label || !own_model || !own_name)
        return NULL;
    *label = (struct label){.next = labels->first, .model = own_model, .name = own_name};
    labels->first = label;
    return label;
}

bool labels_name(const char *name)
{
    return scan_name(name) && isalpha((unsigned char)name[0]);
}

bool labels_set(struct labels *labels, const char *model, const char *name, int64_t version, struct percept_err *err)
{
    struct label *label = find(labels, model, name);
    if (!labels_name(name))
        return err_set(err, ERR_INVALID,
                       "'%.60s' cannot be a label: letters, digits, '.', '_' and '-' can, the first a letter", name);
    if (!label && version)
        label = add(labels, model, name);
    if (!label && version)
        return err_memory(err, "a label", sizeof *label);
    if (label)
        label->version = version;
    return true;
}

int64_t labels_find(const struct labels *labels, const char *model, const char *name)
{
    const struct label *label = find(labels, model, name);
    return label ? label->version : 0;
}

void labels_free(struct labels *labels)
{
    arena_free(&labels->arena);
    *labels = (struct labels){0};
}
