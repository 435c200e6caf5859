/*
 * build.h - models of one to three operators, drawn. Every operator of the table is reachable;
 * recipes make most of them valid, so that what is behind the checks is reached, and now and then
 * wrong.
 */
#ifndef TESTS_FUZZ_BUILD_H
#define TESTS_FUZZ_BUILD_H

#include "draw.h"
#include "graph/proto.h"

/* A whole ModelProto; the caller frees it. */
struct proto build_model(struct draw *draw);

/* Fields of a GraphProto, to append to another's: its names begin with the prefix. */
struct proto build_graph(struct draw *draw, const char *prefix);

/* An attribute that some operator knows, as an AttributeProto. */
struct proto build_attribute(struct draw *draw);

/* A name of an operator. */
const char *build_op_type(struct draw *draw);

#endif
