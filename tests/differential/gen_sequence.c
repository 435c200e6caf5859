/*
 * gen_sequence.c - networks around sequences and optionals: tensors go into a list in one of several ways, the
 * list is edited, perhaps handed through a Loop, an If or a SequenceMap, and tensors come out again.
 *
 * Each network has the operator that is asked for; which others, is drawn. Positions are constants, now and then
 * beyond the list, which both sides must refuse.
 */
#include <stdio.h>
#include <string.h>

#include "differential/families.h"

struct lists {
    struct example *e;
    int n_nodes, n_inputs, n; /* n: tensors in the list by now, or -1 */
    char last[16];            /* the list's name by now */
};

static void add_named(struct lists *l, struct proto node)
{
    proto_add(&l->e->network, GRAPH_NODE, node);
    l->n_nodes++;
}

static bool asked(const struct lists *l, const char *op)
{
    return strcmp(l->e->op, op) == 0;
}

/* A node from the list (and what else it takes) to a new list. */
static struct proto next_list(struct lists *l, const char *op, const char *inputs)
{
    char name[16];
    snprintf(name, sizeof name, "s%d", l->n_nodes);
    struct proto node = proto_node(op, "", inputs, name);
    snprintf(l->last, sizeof l->last, "%s", name);
    return node;
}

static void any_input(struct lists *l, int rank, int64_t *dims, char *name)
{
    snprintf(name, 16, "x%d", l->n_inputs++);
    example_input(l->e, l->e->type, rank, dims, -9, 9);
}

static void constant_at(struct lists *l, int64_t at, char *name)
{
    snprintf(name, 16, "p%d", l->n_nodes);
    proto_add(&l->e->constants, GRAPH_INITIALIZER, proto_tensor(name, PERCEPT_INT64, 0, NULL, &at, sizeof at));
    example_note(l->e, " at %d", (int)at);
}

/* A position for a list of n: mostly within [-n, last]. */
static int64_t draw_position(struct example *e, int n, int last)
{
    return example_chance(e, 4) ? example_int(e, -n - 2, n + 2) : example_int(e, -n, last < -n ? -n : last);
}

static void construct(struct lists *l, int rank, int64_t *dims)
{
    char inputs[200] = "", name[16];
    l->n = (int)example_int(l->e, 1, 4);
    for (int i = 0; i < l->n; i++) {
        any_input(l, rank, dims, name);
        snprintf(inputs + strlen(inputs), sizeof inputs - strlen(inputs), "%s%s", i ? "," : "", name);
    }
    add_named(l, next_list(l, "SequenceConstruct", inputs));
}

static void split(struct lists *l, int rank, int64_t *dims)
{
    struct example *e = l->e;
    char name[16], length[16] = "", inputs[40];
    const int axis = (int)example_int(e, 0, rank - 1), form = (int)example_int(e, 0, 2);
    any_input(l, rank, dims, name);
    l->n = (int)dims[axis];
    if (form == 1) {
        const int64_t each = example_int(e, 1, dims[axis] + 1);
        constant_at(l, each, length);
        l->n = (int)((dims[axis] + each - 1) / each);
    } else if (form == 2) {
        const int64_t first = example_int(e, 0, dims[axis]), parts[] = {first, dims[axis] - first};
        snprintf(length, sizeof length, "p%d", l->n_nodes);
        proto_add(&e->constants, GRAPH_INITIALIZER,
                  proto_tensor(length, PERCEPT_INT64, 1, (int64_t[]){2}, parts, sizeof parts));
        l->n = 2;
    }
    snprintf(inputs, sizeof inputs, "%s%s%s", name, form ? "," : "", length);
    struct proto node = next_list(l, "SplitToSequence", inputs);
    proto_attr_int(&node, "axis", example_chance(e, 50) ? axis : axis - rank);
    if (form == 0 && example_chance(e, 50)) /* without axes that are kept parts have one less */
        proto_attr_int(&node, "keepdims", example_chance(e, 50));
    add_named(l, node);
    example_note(e, " split axis %d form %d", axis, form);
}

/* A Loop that puts the rows of x0 into a list; what is put in later has a row's shape. */
static void loop(struct lists *l, int *rank, int64_t *dims)
{
    struct example *e = l->e;
    struct proto body = {0}, node;
    char name[16];
    const int64_t trips = example_int(e, 0, dims[0]);
    any_input(l, *rank, dims, name);
    memmove(dims, dims + 1, (size_t)-- * rank * sizeof *dims);
    struct proto empty = next_list(l, "SequenceEmpty", "");
    proto_attr_int(&empty, "dtype", e->type);
    add_named(l, empty);
    proto_add(&e->constants, GRAPH_INITIALIZER, proto_tensor("trips", PERCEPT_INT64, 0, NULL, &trips, sizeof trips));
    proto_add(&body, GRAPH_NODE, proto_node("Identity", "", "go", "on"));
    proto_add(&body, GRAPH_NODE, proto_node("Gather", "", "x0,i", "row"));
    proto_add(&body, GRAPH_NODE, proto_node("SequenceInsert", "", "list,row", "longer"));
    proto_add(&body, GRAPH_INPUT, proto_value("i", PERCEPT_INT64, 0, NULL));
    proto_add(&body, GRAPH_INPUT, proto_value("go", PERCEPT_BOOL, 0, NULL));
    for (int out = 0; out < 2; out++) {
        struct proto value = {0}, type = {0}, sequence = {0}, element = {0}, tensor = {0};
        proto_text(&value, VALUE_INFO_NAME, out ? "longer" : "list");
        proto_int(&tensor, TENSOR_TYPE_ELEM, e->type);
        proto_add(&element, TYPE_TENSOR, tensor);
        proto_add(&sequence, WIRE_LEN(1) /* elem_type */, element);
        proto_add(&type, TYPE_SEQUENCE, sequence);
        proto_add(&value, VALUE_INFO_TYPE, type);
        if (out)
            proto_add(&body, GRAPH_OUTPUT, proto_value("on", PERCEPT_BOOL, 0, NULL));
        proto_add(&body, out ? GRAPH_OUTPUT : GRAPH_INPUT, value);
    }
    proto_text(&body, GRAPH_NAME, "body");
    char inputs[40];
    snprintf(inputs, sizeof inputs, "trips,,%s", l->last);
    node = next_list(l, "Loop", inputs);
    proto_attr_message(&node, "body", ATTR_GRAPH, ATTRIBUTE_G, body);
    add_named(l, node);
    l->n = (int)trips;
    example_note(e, " loop of %d", (int)trips);
}

static void insert(struct lists *l, int rank, int64_t *dims)
{
    char name[16], at[16] = "", inputs[60];
    any_input(l, rank, dims, name);
    if (example_chance(l->e, 70))
        constant_at(l, draw_position(l->e, l->n, l->n), at);
    snprintf(inputs, sizeof inputs, "%s,%s%s%s", l->last, name, *at ? "," : "", at);
    add_named(l, next_list(l, "SequenceInsert", inputs));
    l->n++;
}

static void erase(struct lists *l)
{
    char at[16] = "", inputs[40];
    if (example_chance(l->e, 70))
        constant_at(l, draw_position(l->e, l->n, l->n - 1), at);
    snprintf(inputs, sizeof inputs, "%s%s%s", l->last, *at ? "," : "", at);
    add_named(l, next_list(l, "SequenceErase", inputs));
    l->n--;
}

static void map(struct lists *l)
{
    struct proto body = {0};
    proto_add(&body, GRAPH_INPUT, proto_value("in", l->e->type, -1, NULL));
    proto_add(&body, GRAPH_NODE, proto_node("Add", "", "in,in", "out"));
    proto_add(&body, GRAPH_OUTPUT, proto_value("out", l->e->type, -1, NULL));
    proto_text(&body, GRAPH_NAME, "body");
    struct proto node = next_list(l, "SequenceMap", l->last);
    proto_attr_message(&node, "body", ATTR_GRAPH, ATTRIBUTE_G, body);
    add_named(l, node);
}

/* A tensor and the list's length come out. */
static void finish(struct lists *l, bool join, int rank)
{
    struct example *e = l->e;
    char at[16], inputs[40];
    if (join) {
        struct proto node = proto_node("ConcatFromSequence", "", l->last, "y0");
        const bool new_axis = example_chance(e, 50);
        proto_attr_int(&node, "axis", example_int(e, -rank, rank - 1));
        proto_attr_int(&node, "new_axis", new_axis);
        proto_add(&e->network, GRAPH_NODE, node);
    } else {
        constant_at(l, draw_position(e, l->n, l->n - 1), at);
        snprintf(inputs, sizeof inputs, "%s,%s", l->last, at);
        proto_add(&e->network, GRAPH_NODE, proto_node("SequenceAt", "", inputs, "y0"));
    }
    proto_add(&e->network, GRAPH_NODE, proto_node("SequenceLength", "", l->last, "y1"));
    example_output(e, e->type);
    example_output(e, PERCEPT_INT64);
}

void gen_sequence(struct example *e)
{
    struct lists l = {.e = e};
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 2, 3);
    example_dims(e, rank, dims, 3);
    e->opset = e->opset < 17 ? 17 : e->opset > 22 ? 22 : e->opset;
    e->never_widen = true;
    example_type(e, asked(&l, "SplitToSequence") || asked(&l, "SequenceMap") ? "ffdil" : "fffdilcS?");
    if (asked(&l, "SplitToSequence") || (asked(&l, "SequenceAt") && example_chance(e, 30)))
        split(&l, rank, dims);
    else if (asked(&l, "SequenceEmpty") || (asked(&l, "SequenceInsert") && example_chance(e, 40)))
        loop(&l, &rank, dims);
    else
        construct(&l, rank, dims);
    const bool whole = !asked(&l, "SplitToSequence");
    for (int i = (int)example_int(e, asked(&l, "SequenceInsert"), 3); i > 0; i--)
        insert(&l, rank, dims);
    for (int i = (int)example_int(e, asked(&l, "SequenceErase"), 2); i > 0 && l.n > 0; i--)
        erase(&l);
    if (asked(&l, "SequenceMap"))
        map(&l);
    finish(&l, asked(&l, "ConcatFromSequence") || (whole && !asked(&l, "SequenceAt") && example_chance(e, 50)), rank);
}

/* x0, or a list of it twice, goes into an optional, which says so and gives it back. */
void gen_optional(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 3);
    const bool list = example_chance(e, 40), plain = !list && example_chance(e, 30);
    example_dims(e, rank, dims, 3);
    e->opset = plain ? 18 : (int)example_int(e, 15, 22);
    e->never_widen = true;
    example_type(e, "fffdilcS?");
    example_input(e, e->type, rank, dims, -9, 9);
    if (list)
        proto_add(&e->network, GRAPH_NODE, proto_node("SequenceConstruct", "", "x0,x0", "s"));
    if (!plain || strcmp(e->op, "Optional") == 0)
        proto_add(&e->network, GRAPH_NODE, proto_node("Optional", "", list ? "s" : "x0", "o"));
    const char *from = plain && strcmp(e->op, "Optional") != 0 ? "x0" : "o";
    proto_add(&e->network, GRAPH_NODE, proto_node("OptionalHasElement", "", from, "y1"));
    proto_add(&e->network, GRAPH_NODE, proto_node("OptionalGetElement", "", from, list ? "g" : "y0"));
    if (list) {
        struct proto node = proto_node("ConcatFromSequence", "", "g", "y0");
        proto_attr_int(&node, "axis", 0);
        proto_attr_int(&node, "new_axis", 1);
        proto_add(&e->network, GRAPH_NODE, node);
    }
    example_output(e, e->type);
    example_output(e, PERCEPT_BOOL);
    example_note(e, "%s%s", list ? " a list" : "", plain ? " itself" : "");
}
