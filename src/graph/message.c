/*
 * message.c - protobuf has no magic number: a message is told by the numbers and wire types of its
 * fields. Field 1 of a ModelProto is a varint and field 2 a text, so
 *
 *     TensorProto       1 varint, 2 varint (the element type)
 *     GraphProto        1 nodes, 11 or 12 inputs or outputs
 *     SavedModel        1 varint (1), 2 a MetaGraphDef
 *     GraphDef          1 nodes (name and operator are their fields 1 and 2), 4 versions
 *     mlmodel           1 varint (the version), 2 the description, one of 200 to 3000 the network
 *     NetParameter      1 name, 100 layers (or 2, in Caffe's first form)
 *     ProgramDesc       1 blocks, which begin with two varints
 *
 * Sources: onnx.proto; TensorFlow's saved_model.proto and graph.proto; Core ML's Model.proto;
 * Caffe's caffe.proto; PaddlePaddle's framework.proto. Threads: any.
 */
#include "graph/message.h"

#include "graph/wire.h"

static const struct foreign tensor = {"an ONNX tensor (TensorProto), as test cases have them",
                                      "name the model's .onnx file"};
static const struct foreign graph = {"an ONNX graph without the model around it",
                                     "save it with onnx.helper.make_model and onnx.save"};
static const struct foreign saved_model = {
    "a TensorFlow SavedModel", "convert its folder with tf2onnx (python -m tf2onnx.convert --saved-model FOLDER)"};
static const struct foreign graph_def = {"a TensorFlow graph (GraphDef)",
                                         "convert it with tf2onnx (python -m tf2onnx.convert --graphdef)"};
static const struct foreign core_ml = {"a Core ML model",
                                       "export the network to ONNX from the framework that trained it"};
static const struct foreign caffe = {"a Caffe network",
                                     "export the network to ONNX from the framework that trained it"};
static const struct foreign paddle = {"a PaddlePaddle program", "convert it with paddle2onnx"};

#define FIELDS_MAX 128

/* What a message has: of the first fields which wire types, and the first bytes of the first. */
struct fields {
    bool len[FIELDS_MAX], varint[FIELDS_MAX];
    bool any_200_to_3000;
    uint64_t first_value; /* of field 1 as a varint */
    struct bytes first;   /* of field 1 as bytes */
    struct bytes second;  /* of field 2 as bytes */
};

static bool collect(struct bytes message, struct fields *fields)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    *fields = (struct fields){.any_200_to_3000 = false};
    while (wire_next(&wire, &field)) {
        uint32_t number = field.tag >> 3;
        bool is_len = field.tag == WIRE_LEN(number), is_varint = field.tag == WIRE_VARINT(number);
        if (number == 1 && is_varint)
            fields->first_value = field.value;
        if (number == 1 && is_len && !fields->len[1])
            fields->first = field.bytes;
        if (number == 2 && is_len && !fields->len[2])
            fields->second = field.bytes;
        fields->any_200_to_3000 |= is_len && number >= 200 && number <= 3000;
        if (number < FIELDS_MAX) {
            fields->len[number] |= is_len;
            fields->varint[number] |= is_varint;
        }
    }
    return !wire.broken && message.at != message.end;
}

static const struct foreign *begins_with_varint(const struct fields *top)
{
    struct fields meta;
    if (top->len[2] && top->any_200_to_3000)
        return &core_ml;
    if (top->first_value == 1 && top->len[2] && !top->len[7] && collect(top->second, &meta) &&
        (meta.len[1] || meta.len[2]))
        return &saved_model;
    return NULL;
}

static const struct foreign *begins_with_bytes(const struct fields *top)
{
    struct fields node;
    if (top->len[100] || (top->len[2] && top->len[3]))
        return &caffe;
    if (!collect(top->first, &node))
        return NULL;
    if (top->len[11] || top->len[12])
        return &graph;
    if (node.varint[1] && node.varint[2])
        return &paddle;
    return node.len[1] && node.len[2] ? &graph_def : NULL;
}

const struct foreign *message_find(struct bytes file)
{
    struct fields top;
    if (!collect(file, &top))
        return NULL;
    if (top.varint[2] && (top.len[4] || top.len[5] || top.len[6] || top.len[7] || top.len[8] || top.len[9] ||
                          top.len[10] || top.len[11] || top.len[13]))
        return &tensor;
    if (top.varint[1])
        return begins_with_varint(&top);
    return top.len[1] ? begins_with_bytes(&top) : NULL;
}
