/*
 * fields.h - the fields of ONNX's messages that we read, as tags (number and wire type together, see
 * wire.h), under ONNX's names. Repeated numbers come packed (LEN) or one by one: both are listed.
 * What is not here - doc strings, training, devices - is passed over.
 */
#ifndef GRAPH_FIELDS_H
#define GRAPH_FIELDS_H

#include "graph/wire.h"

/* ModelProto */
enum model_field {
    MODEL_IR_VERSION = WIRE_VARINT(1),
    MODEL_PRODUCER_NAME = WIRE_LEN(2),
    MODEL_PRODUCER_VERSION = WIRE_LEN(3),
    MODEL_GRAPH = WIRE_LEN(7),
    MODEL_OPSET_IMPORT = WIRE_LEN(8),
    MODEL_METADATA_PROPS = WIRE_LEN(14),
    MODEL_FUNCTIONS = WIRE_LEN(25),
};

/* OperatorSetIdProto */
enum opset_field {
    OPSET_DOMAIN = WIRE_LEN(1),
    OPSET_VERSION = WIRE_VARINT(2),
};

/* GraphProto */
enum graph_field {
    GRAPH_NODE = WIRE_LEN(1),
    GRAPH_NAME = WIRE_LEN(2),
    GRAPH_INITIALIZER = WIRE_LEN(5),
    GRAPH_INPUT = WIRE_LEN(11),
    GRAPH_OUTPUT = WIRE_LEN(12),
    GRAPH_VALUE_INFO = WIRE_LEN(13),
    GRAPH_SPARSE_INITIALIZER = WIRE_LEN(15),
};

/* FunctionProto */
enum function_field {
    FUNCTION_NAME = WIRE_LEN(1),
    FUNCTION_INPUT = WIRE_LEN(4),
    FUNCTION_OUTPUT = WIRE_LEN(5),
    FUNCTION_ATTRIBUTE = WIRE_LEN(6),
    FUNCTION_NODE = WIRE_LEN(7),
    FUNCTION_OPSET_IMPORT = WIRE_LEN(9),
    FUNCTION_DOMAIN = WIRE_LEN(10),
    FUNCTION_ATTRIBUTE_PROTO = WIRE_LEN(11),
    FUNCTION_OVERLOAD = WIRE_LEN(13),
};

/* NodeProto */
enum node_field {
    NODE_INPUT = WIRE_LEN(1),
    NODE_OUTPUT = WIRE_LEN(2),
    NODE_NAME = WIRE_LEN(3),
    NODE_OP_TYPE = WIRE_LEN(4),
    NODE_ATTRIBUTE = WIRE_LEN(5),
    NODE_DOMAIN = WIRE_LEN(7),
    NODE_OVERLOAD = WIRE_LEN(8),
};

/* AttributeProto */
enum attribute_field {
    ATTRIBUTE_NAME = WIRE_LEN(1),
    ATTRIBUTE_F = WIRE_FIXED32(2),
    ATTRIBUTE_I = WIRE_VARINT(3),
    ATTRIBUTE_S = WIRE_LEN(4),
    ATTRIBUTE_T = WIRE_LEN(5),
    ATTRIBUTE_G = WIRE_LEN(6),
    ATTRIBUTE_FLOATS = WIRE_LEN(7),
    ATTRIBUTE_FLOATS_ONE = WIRE_FIXED32(7),
    ATTRIBUTE_INTS = WIRE_LEN(8),
    ATTRIBUTE_INTS_ONE = WIRE_VARINT(8),
    ATTRIBUTE_STRINGS = WIRE_LEN(9),
    ATTRIBUTE_TENSORS = WIRE_LEN(10),
    ATTRIBUTE_GRAPHS = WIRE_LEN(11),
    ATTRIBUTE_TP = WIRE_LEN(14),
    ATTRIBUTE_TYPE_PROTOS = WIRE_LEN(15),
    ATTRIBUTE_TYPE = WIRE_VARINT(20),
    ATTRIBUTE_REF_ATTR_NAME = WIRE_LEN(21),
    ATTRIBUTE_SPARSE_TENSOR = WIRE_LEN(22),
    ATTRIBUTE_SPARSE_TENSORS = WIRE_LEN(23),
};

/* TensorProto */
enum tensor_field {
    TENSOR_DIMS = WIRE_LEN(1),
    TENSOR_DIMS_ONE = WIRE_VARINT(1),
    TENSOR_DATA_TYPE = WIRE_VARINT(2),
    TENSOR_SEGMENT = WIRE_LEN(3),
    TENSOR_FLOAT_DATA = WIRE_LEN(4),
    TENSOR_FLOAT_DATA_ONE = WIRE_FIXED32(4),
    TENSOR_INT32_DATA = WIRE_LEN(5),
    TENSOR_INT32_DATA_ONE = WIRE_VARINT(5),
    TENSOR_STRING_DATA = WIRE_LEN(6),
    TENSOR_INT64_DATA = WIRE_LEN(7),
    TENSOR_INT64_DATA_ONE = WIRE_VARINT(7),
    TENSOR_NAME = WIRE_LEN(8),
    TENSOR_RAW_DATA = WIRE_LEN(9),
    TENSOR_DOUBLE_DATA = WIRE_LEN(10),
    TENSOR_DOUBLE_DATA_ONE = WIRE_FIXED64(10),
    TENSOR_UINT64_DATA = WIRE_LEN(11),
    TENSOR_UINT64_DATA_ONE = WIRE_VARINT(11),
    TENSOR_EXTERNAL_DATA = WIRE_LEN(13),
    TENSOR_DATA_LOCATION = WIRE_VARINT(14),
};

/* StringStringEntryProto */
enum entry_field {
    ENTRY_KEY = WIRE_LEN(1),
    ENTRY_VALUE = WIRE_LEN(2),
};

/* SparseTensorProto */
enum sparse_field {
    SPARSE_VALUES = WIRE_LEN(1),
    SPARSE_INDICES = WIRE_LEN(2),
    SPARSE_DIMS = WIRE_LEN(3),
    SPARSE_DIMS_ONE = WIRE_VARINT(3),
};

/* ValueInfoProto */
enum value_info_field {
    VALUE_INFO_NAME = WIRE_LEN(1),
    VALUE_INFO_TYPE = WIRE_LEN(2),
};

/* TypeProto */
enum type_field {
    TYPE_TENSOR = WIRE_LEN(1),
    TYPE_SEQUENCE = WIRE_LEN(4),
    TYPE_MAP = WIRE_LEN(5),
    TYPE_OPAQUE = WIRE_LEN(7),
    TYPE_SPARSE_TENSOR = WIRE_LEN(8),
    TYPE_OPTIONAL = WIRE_LEN(9),
};

/* TypeProto.Tensor */
enum tensor_type_field {
    TENSOR_TYPE_ELEM = WIRE_VARINT(1),
    TENSOR_TYPE_SHAPE = WIRE_LEN(2),
};

/* TensorShapeProto and its Dimension */
enum shape_field {
    SHAPE_DIM = WIRE_LEN(1),
    DIM_VALUE = WIRE_VARINT(1),
    DIM_PARAM = WIRE_LEN(2),
};

#endif
