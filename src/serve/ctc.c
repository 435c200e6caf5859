/*
 * ctc.c - both ways to read a text from the steps of a network.
 *
 * Beginnings of texts are nodes of a tree: each knows its parent and its last class, and, with a list of words, which
 * of them its last word may become: a range of the sorted list, and how many bytes of it are there. A step makes
 * candidates (each beginning that stays, each that a class extends) and keeps the best as the next beam; only these
 * get nodes, so a text of n steps makes at most n * beam of them.
 */
#include "serve/ctc.h"

#include "base/err.h"

#include <math.h>
#include <string.h>

#define LEAST -13.8155f /* log of a millionth */

/* --- labels ------------------------------------------------------------------------------------------------------- */

static bool is_skipped(const struct ctc *ctc, const char *label)
{
    for (int i = 0; i < ctc->n_skipped; i++)
        if (strcmp(ctc->skipped[i], label) == 0)
            return true;
    return false;
}

/* What a class is written as. */
static const char *label_of(const struct ctc *ctc, int class)
{
    if (class == ctc->blank)
        return "";
    const int i = ctc->n_labels<ctc->n_classes &&class> ctc->blank ? class - 1 : class;
    const char *label = i < ctc->n_labels ? ctc->labels[i] : "";
    return is_skipped(ctc, label) ? "" : label;
}

/* The next byte of a label, which moves on; what stands for a space is one. 0 at the end. */
static char next_byte(const struct ctc *ctc, const char **label)
{
    const size_t n = ctc->space ? strlen(ctc->space) : 0;
    if (n && strncmp(*label, ctc->space, n) == 0) {
        *label += n;
        return ' ';
    }
    return **label ? *(*label)++ : '\0';
}

/* The text of so many classes. Where a sign stands for spaces, those at its ends are the sign's, and go. */
static const char *spell(const struct ctc *ctc, const int *classes, int64_t n, struct arena *arena)
{
    size_t n_bytes = 1;
    for (int64_t i = 0; i < n; i++)
        n_bytes += strlen(label_of(ctc, classes[i]));
    char *text = arena_alloc(arena, n_bytes), *to = text;
    for (int64_t i = 0; text && i < n; i++) {
        const char *label = label_of(ctc, classes[i]);
        for (char c; (c = next_byte(ctc, &label));)
            *to++ = c;
    }
    while (text && ctc->space && to > text && to[-1] == ' ')
        *--to = '\0';
    return text && ctc->space ? text + strspn(text, " ") : text;
}

/* --- greedy ------------------------------------------------------------------------------------------------------- */

static int best_class(const float *row, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (row[i] > row[best] || (isnan(row[best]) && !isnan(row[i])))
            best = i;
    return best;
}

static int decode_greedily(const struct ctc *ctc, const float *rows, int64_t n_steps, struct ctc_text *text,
                           struct watch *watch, struct arena *arena, struct percept_err *err)
{
    int *classes = arena_array(arena, (size_t)n_steps + 1, sizeof *classes), before = ctc->blank;
    int64_t n = 0;
    double sum = 0;
    for (int64_t t = 0; classes && t < n_steps; t++) {
        const float *row = rows + t * ctc->n_classes;
        if (!watch_spend(watch, ctc->n_classes)) {
            watch_refuse(watch, err);
            return -1;
        }
        const int best = best_class(row, ctc->n_classes);
        if (best != ctc->blank && best != before) {
            classes[n++] = best;
            sum += exp((double)row[best]);
        }
        before = best;
    }
    *text = (struct ctc_text){.text = classes ? spell(ctc, classes, n, arena) : NULL,
                              .score = n ? (float)(sum / (double)n) : 1};
    if (text->text)
        return 1;
    err_memory(err, "a text", (size_t)n_steps * sizeof *classes);
    return -1;
}

/* --- beam --------------------------------------------------------------------------------------------------------- */

/* A beginning of a text. */
struct node {
    struct node *parent, *child, *sibling; /* the first child, the parent's next one */
    int class;
    int low, high; /* of the words that the last one may become */
    int depth;     /* its bytes */
    int slot;      /* in the beam; -1: it has left */
};

/* One that may be in the next beam. */
struct candidate {
    struct node *node;    /* stays; or is extended by: */
    int class;            /* -1: by nothing */
    float blank, written; /* logs of the probability to end in a blank, in its last class */
    struct node grown;    /* of one that is extended: its words */
};

struct search {
    const struct ctc *ctc;
    struct candidate *beam, *next; /* [ctc->beam] best first; `next` has room for one more */
    int n_beam, n_next;
    struct candidate *stay; /* [ctc->beam] what each of the beam becomes when it stays */
    struct watch *watch;
    struct arena *arena;
};

static float add_logs(float a, float b)
{
    const float high = a > b ? a : b, low = a > b ? b : a;
    return low == -INFINITY ? high : high + log1pf(expf(low - high));
}

static float total_of(const struct candidate *candidate)
{
    return add_logs(candidate->blank, candidate->written);
}

/* The first word of [low, high) whose byte at `depth` is at least c: all of them begin alike. */
static int first_with(const char *const *words, int low, int high, int depth, int c)
{
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if ((unsigned char)words[middle][depth] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Is the last word of a text whole, or not begun? */
static bool is_whole(const struct ctc *ctc, const struct node *node)
{
    return !ctc->n_words || !node->depth || !ctc->words[node->low][node->depth];
}

/* Goes on with the words of a node as a class writes it; false when no word does. */
static bool grow(const struct ctc *ctc, struct node *node, int class)
{
    const char *label = label_of(ctc, class);
    for (char c; ctc->n_words && (c = next_byte(ctc, &label));) {
        if (c == ' ') {
            if (!is_whole(ctc, node))
                return false;
            node->low = node->depth = 0;
            node->high = ctc->n_words;
            continue;
        }
        const int low = first_with(ctc->words, node->low, node->high, node->depth, (unsigned char)c);
        node->high = first_with(ctc->words, low, node->high, node->depth, (unsigned char)c + 1);
        node->low = low;
        node->depth++;
        if (low == node->high)
            return false;
    }
    return true;
}

static struct node *child_of(const struct node *node, int class)
{
    struct node *child = node->child;
    while (child && child->class != class)
        child = child->sibling;
    return child;
}

/* Into the next beam, where it belongs there. */
static void offer(struct search *search, const struct candidate *candidate)
{
    const float total = total_of(candidate);
    int at = search->n_next;
    if (!(total > -INFINITY) || (at == search->ctc->beam && total <= total_of(&search->next[at - 1])))
        return;
    at = at < search->ctc->beam ? search->n_next++ : at - 1;
    for (; at > 0 && total > total_of(&search->next[at - 1]); at--)
        search->next[at] = search->next[at - 1];
    search->next[at] = *candidate;
}

/* A beginning and one more class: new, or one that is in the beam already and gets more probable. */
static void extend(struct search *search, int i, int class, float log_probability)
{
    const struct candidate *from = &search->beam[i];
    const bool repeats = from->node->class == class;
    const float written = (repeats ? from->blank : total_of(from)) + log_probability;
    const struct node *child = child_of(from->node, class);
    if (child && child->slot >= 0) {
        search->stay[child->slot].written = add_logs(search->stay[child->slot].written, written);
        return;
    }
    struct candidate candidate = {
        .node = from->node, .class = class, .blank = -INFINITY, .written = written, .grown = *from->node};
    if (grow(search->ctc, &candidate.grown, class))
        offer(search, &candidate);
}

/* Those of the next beam that are new get nodes. False when memory is short. */
static bool settle(struct search *search)
{
    for (int i = 0; i < search->n_beam; i++)
        search->beam[i].node->slot = -1;
    for (int i = 0; i < search->n_next; i++) {
        struct candidate *candidate = &search->next[i];
        struct node *node = candidate->node, *parent = node;
        if (candidate->class >= 0) {
            node = child_of(parent, candidate->class);
            if (!node) {
                node = arena_alloc(search->arena, sizeof *node);
                if (!node)
                    return false;
                *node = candidate->grown;
                node->parent = parent;
                node->child = NULL;
                node->class = candidate->class;
                node->sibling = parent->child;
                parent->child = node;
            }
        }
        node->slot = i;
        candidate->node = node;
        candidate->class = -1;
    }
    struct candidate *beam = search->beam;
    search->beam = search->next;
    search->next = beam;
    search->n_beam = search->n_next;
    return true;
}

static bool step(struct search *search, const float *row)
{
    const struct ctc *ctc = search->ctc;
    search->n_next = 0;
    for (int i = 0; i < search->n_beam; i++) {
        const struct candidate *from = &search->beam[i];
        search->stay[i] =
            (struct candidate){.node = from->node,
                               .class = -1,
                               .blank = total_of(from) + row[ctc->blank],
                               .written = from->node->parent ? from->written + row[from->node->class] : -INFINITY};
    }
    for (int i = 0; i < search->n_beam; i++)
        for (int class = 0; class < ctc->n_classes; class ++)
            if (class != ctc->blank && row[class] > LEAST)
                extend(search, i, class, row[class]);
    for (int i = 0; i < search->n_beam; i++)
        offer(search, &search->stay[i]);
    return settle(search);
}

static const char *text_of(const struct ctc *ctc, const struct node *node, int64_t n_steps, struct arena *arena)
{
    int *classes = arena_array(arena, (size_t)n_steps + 1, sizeof *classes);
    int64_t at = n_steps;
    for (; classes && node->parent; node = node->parent)
        classes[--at] = node->class;
    return classes ? spell(ctc, classes + at, n_steps - at, arena) : NULL;
}

/* The best of the beam; texts that end in half a word only where there are no others. */
static int take(const struct search *search, int64_t n_steps, int most, struct ctc_text *texts)
{
    bool any = false;
    int n = 0;
    for (int i = 0; i < search->n_beam; i++)
        any |= is_whole(search->ctc, search->beam[i].node);
    for (int i = 0; i < search->n_beam && n < most; i++) {
        const struct candidate *one = &search->beam[i];
        if (any && !is_whole(search->ctc, one->node))
            continue;
        texts[n] = (struct ctc_text){.text = text_of(search->ctc, one->node, n_steps, search->arena),
                                     .score = expf(total_of(one))};
        if (!texts[n++].text)
            return -1;
    }
    return n;
}

static int decode_by_beam(struct search *search, const float *rows, int64_t n_steps, int most, struct ctc_text *texts,
                          struct percept_err *err)
{
    const struct ctc *ctc = search->ctc;
    const size_t room = (size_t)ctc->beam + 1;
    struct node *root = arena_alloc(search->arena, sizeof *root);
    search->beam = arena_array(search->arena, room, sizeof *search->beam);
    search->next = arena_array(search->arena, room, sizeof *search->next);
    search->stay = arena_array(search->arena, room, sizeof *search->stay);
    bool ok = root && search->beam && search->next && search->stay;
    if (ok) {
        *root = (struct node){.class = -1, .high = ctc->n_words};
        search->beam[0] = (struct candidate){.node = root, .class = -1, .written = -INFINITY};
        search->n_beam = 1;
    }
    for (int64_t t = 0; ok && t < n_steps; t++) {
        if (!watch_spend(search->watch, (int64_t)ctc->n_classes * search->n_beam)) {
            watch_refuse(search->watch, err);
            return -1;
        }
        ok = step(search, rows + t * ctc->n_classes);
    }
    const int n = ok ? take(search, n_steps, most, texts) : -1;
    if (n < 0)
        err_memory(err, "a beam of texts", room * sizeof *search->beam);
    return n;
}

int ctc_decode(const struct ctc *ctc, const float *rows, int64_t n_steps, int most, struct ctc_text *texts,
               struct watch *watch, struct arena *arena, struct percept_err *err)
{
    if (!ctc->beam)
        return decode_greedily(ctc, rows, n_steps, texts, watch, arena, err);
    struct search search = {.ctc = ctc, .watch = watch, .arena = arena};
    return decode_by_beam(&search, rows, n_steps, most, texts, err);
}
