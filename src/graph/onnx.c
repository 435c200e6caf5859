/*
 * onnx.c - ModelProto -> struct onnx_model.
 *
 * Reading is by name and in place. The files around this one each know a message: graphs.c,
 * nodes.c, attribute.c, declared.c, stored.c; scope.c finds values by name, inline.c replaces calls
 * of model-local functions, reader.c has what all of them share.
 *
 * Strictness: what cannot be understood is refused with a sentence that says where; nothing is
 * guessed. Threads: the loader's. Ownership: all results are in the caller's arena or view the
 * file.
 */
#include "graph/onnx.h"

#include "graph/graphs.h"
#include "graph/inline.h"
#include "graph/message.h"

#define IR_OLDEST 3
#define IR_NEWEST 14

/* A ModelProto's own fields. */
struct model_fields {
    uint64_t ir_version;
    struct bytes producer, version, graph;
    int n_graphs;
};

static bool find_model(struct reader *r, struct bytes file, struct model_fields *fields)
{
    struct wire wire = wire_of(file);
    struct wire_field field;
    while (wire_next(&wire, &field))
        switch (field.tag) {
        case MODEL_IR_VERSION:
            fields->ir_version = field.value;
            break;
        case MODEL_PRODUCER_NAME:
            fields->producer = field.bytes;
            break;
        case MODEL_PRODUCER_VERSION:
            fields->version = field.bytes;
            break;
        case MODEL_GRAPH:
            fields->graph = field.bytes;
            fields->n_graphs++;
            break;
        }
    return reader_whole(r, &wire, "this is no ONNX model, or a damaged one");
}

static bool judge_model(struct reader *r, const struct model_fields *fields)
{
    if (fields->n_graphs != 1)
        return err_set(r->err, ERR_MODEL, "this is no ONNX model, or a damaged one: it has %s graph",
                       fields->n_graphs ? "more than one" : "no");
    if (fields->ir_version < IR_OLDEST || fields->ir_version > IR_NEWEST)
        return err_set(r->err, ERR_UNSUPPORTED,
                       "its ir_version is %llu; %d to %d are supported: save it with another release "
                       "of ONNX",
                       (unsigned long long)fields->ir_version, IR_OLDEST, IR_NEWEST);
    return true;
}

/* Whatever broke the reading, a file of another kind is called by its name. Asked only now: what
 * can be read as a model is one, however it begins. */
static bool name_kind(struct reader *r, struct bytes file, const struct model_fields *fields)
{
    const struct foreign *kind = foreign_find(file);
    if (!kind)
        kind = message_find(file);
    if (kind)
        return err_set(r->err, ERR_MODEL, "this is no ONNX model but %s: %s", kind->what, kind->remedy);
    if (fields->ir_version || fields->n_graphs || fields->producer.at)
        return false;
    char text[sizeof r->err->text];
    memcpy(text, r->err->text, sizeof text);
    return err_set(r->err, ERR_MODEL, "%s; if it holds a model's external data, name the .onnx file beside it", text);
}

static bool describe(struct reader *r, const struct model_fields *fields)
{
    const char *gap = fields->version.at != fields->version.end ? " " : "";
    char *producer =
        arena_printf(r->arena, BYTES_FMT "%s" BYTES_FMT, BYTES_ARG(fields->producer), gap, BYTES_ARG(fields->version));
    if (!producer)
        return reader_short(r, "the producer's name");
    const struct import *own = reader_find_import(&r->imports, (struct bytes){0});
    r->model->producer = bytes_of_text(producer);
    r->model->ir_version = (int64_t)fields->ir_version;
    r->model->opset = own ? own->version : 0;
    return true;
}

static struct onnx_property read_property(struct bytes entry)
{
    struct onnx_property property = {0};
    struct wire wire = wire_of(entry);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        if (field.tag == ENTRY_KEY)
            property.key = field.bytes;
        else if (field.tag == ENTRY_VALUE)
            property.value = field.bytes;
    }
    return property;
}

/* What exporters note beside the graph. It never keeps a model from being read. */
static bool read_properties(struct reader *r, struct bytes file)
{
    struct bytes entry;
    int n = 0;
    for (struct wire wire = wire_of(file); wire_find(&wire, MODEL_METADATA_PROPS, &entry);)
        n++;
    r->model->properties = arena_array(r->arena, (size_t)n + 1, sizeof *r->model->properties);
    if (!r->model->properties)
        return reader_short(r, "the file's properties");
    for (struct wire wire = wire_of(file); wire_find(&wire, MODEL_METADATA_PROPS, &entry);)
        r->model->properties[r->model->n_properties++] = read_property(entry);
    return true;
}

static bool read_model(struct reader *r, struct bytes file)
{
    struct model_fields fields = {0};
    if (!bytes_size(file))
        return err_set(r->err, ERR_MODEL, "the file is empty");
    if (!find_model(r, file, &fields) || !judge_model(r, &fields))
        return name_kind(r, file, &fields);
    if (!reader_imports(r, file, MODEL_OPSET_IMPORT, &r->imports) || !describe(r, &fields) ||
        !read_properties(r, file) || !inline_read(r, file))
        return false;
    struct graph *graph = arena_alloc(r->arena, sizeof *graph);
    if (!graph)
        return reader_short(r, "the graph");
    *graph = (struct graph){0};
    struct scope scope = {.graph = graph};
    r->model->graph = graph;
    if (!graphs_read(r, &scope, fields.graph))
        return r->err->code == ERR_MODEL ? name_kind(r, file, &fields) : false;
    return graphs_judge(r, graph);
}

bool onnx_read(struct bytes file, const struct onnx_external *external, struct arena *arena, struct onnx_model *model,
               struct percept_err *err)
{
    struct onnx_model made = {0};
    struct percept_err unheard;
    struct reader reader = {.model = &made, .external = external, .arena = arena, .err = err ? err : &unheard};
    bool ok = read_model(&reader, file);
    arena_free(&reader.scratch);
    if (ok)
        *model = made;
    return ok;
}
