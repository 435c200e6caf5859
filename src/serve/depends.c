/*
 * depends.c - see depends.h. Instances are held as jobs hold theirs, by served.n_holders: who is replaced or unloaded
 * stays in memory until the last has let go.
 */
#include "serve/depends.h"

#include "base/err.h"
#include "serve/ios.h"

int depends_add(struct depends *parts, const char *name, int64_t version, struct arena *arena, struct percept_err *err)
{
    for (int i = 0; i < parts->n; i++)
        if (parts->at[i].version == version && strcmp(parts->at[i].name, name) == 0)
            return i;
    if (parts->n == DEPENDS_MAX) {
        err_set(err, ERR_CONFIG, "there are more than %d models in it", DEPENDS_MAX);
        return -1;
    }
    const char *own = arena_text(arena, name, strlen(name));
    if (!own) {
        err_memory(err, "a name", strlen(name));
        return -1;
    }
    parts->at[parts->n] = (struct depend){.name = own, .version = version};
    return parts->n++;
}

/* The highest version of those that are READY, which come in the order of versions. */
static struct served *find(const struct served *listed, const struct depend *part)
{
    const struct served *found = NULL;
    for (const struct served *at = listed; at; at = at->next)
        if (at->state == SERVED_READY && (!part->version || part->version == at->version) &&
            strcmp(at->name, part->name) == 0)
            found = at;
    return (struct served *)(uintptr_t)found;
}

static bool is_as_fitted(const struct depend *part)
{
    int n_inputs, n_outputs;
    const struct percept_io *inputs = served_inputs(part->served, &n_inputs);
    const struct percept_io *outputs = served_outputs(part->served, &n_outputs);
    return !part->inputs || (ios_equal(inputs, n_inputs, part->inputs, part->n_inputs) &&
                             ios_equal(outputs, n_outputs, part->outputs, part->n_outputs));
}

static bool remember(struct depend *part, struct arena *arena, struct percept_err *err)
{
    const struct percept_io *inputs = served_inputs(part->served, &part->n_inputs);
    const struct percept_io *outputs = served_outputs(part->served, &part->n_outputs);
    part->inputs = ios_keep(inputs, part->n_inputs, arena);
    part->outputs = ios_keep(outputs, part->n_outputs, arena);
    return (part->inputs && part->outputs) || err_memory(err, "what a model takes and gives", sizeof *inputs);
}

static bool find_all(struct depends *parts, const struct served *listed, struct percept_err *err)
{
    for (int i = 0; i < parts->n; i++) {
        struct depend *part = &parts->at[i];
        part->served = find(listed, part);
        if (!part->served)
            return err_set(err, ERR_UNAVAILABLE, "it needs model '%s', which is not served", part->name);
        if (!is_as_fitted(part))
            return err_set(err, ERR_CONFIG, "model '%s' takes or gives something else than before", part->name);
    }
    return true;
}

static bool remember_all(struct depends *parts, struct arena *arena, struct percept_err *err)
{
    for (int i = 0; i < parts->n; i++)
        if (!remember(&parts->at[i], arena, err))
            return false;
    return true;
}

bool depends_bind(struct served *served, const struct served *listed, struct percept_err *err)
{
    struct depends *parts = served->depends;
    const bool fitted = parts->n && parts->at[parts->n - 1].outputs;
    if (find_all(parts, listed, err) &&
        (fitted || (parts->fit(served, err) && remember_all(parts, &served->arena, err))))
        return true;
    depends_loosen(served);
    return false;
}

void depends_loosen(struct served *served)
{
    for (int i = 0; i < served->depends->n; i++)
        served->depends->at[i].served = NULL;
}

struct served **depends_hold(const struct served *served, struct arena *arena, struct percept_err *err)
{
    const struct depends *parts = served->depends;
    struct served **held = arena_array(arena, (size_t)parts->n + 1, sizeof(struct served *));
    if (!held) {
        err_memory(err, "a list of models", (size_t)parts->n * sizeof(struct served *));
        return NULL;
    }
    for (int i = 0; i < parts->n; i++)
        if (!parts->at[i].served)
            return err_null(err, ERR_UNAVAILABLE,
                            "Request for unknown model: '%s', a part of '%s', is not at ready state", parts->at[i].name,
                            served->name);
    for (int i = 0; i < parts->n; i++) {
        held[i] = parts->at[i].served;
        held[i]->n_holders++;
    }
    return held;
}

void depends_let_go(struct served **held, int n)
{
    for (int i = 0; held && i < n; i++)
        held[i]->n_holders--;
}
