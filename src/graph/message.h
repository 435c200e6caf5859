/*
 * message.h - which protobuf message a file is, if it is no ModelProto: other frameworks use
 * protobuf too, and ONNX has messages beside the model.
 */
#ifndef GRAPH_MESSAGE_H
#define GRAPH_MESSAGE_H

#include "base/foreign.h"

/* The kind of a file whose fields can all be read, or NULL when it is not known. Ask after reading
 * it as a model has failed. */
const struct foreign *message_find(struct bytes file);

#endif
