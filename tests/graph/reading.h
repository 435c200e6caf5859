/*
 * reading.h - what the tests of reading models share: one model at a time, its arena and its error.
 * Names are short because every line of those tests is made of them.
 */
#ifndef TESTS_GRAPH_READING_H
#define TESTS_GRAPH_READING_H

#include "graph/onnx.h"

#include <check.h>
#include <stdio.h>

#include "proto.h"

extern struct arena arena;
extern struct percept_err err;
extern struct onnx_model model;

/* Fixture of every test; again() starts anew within one. */
void fresh(void);
void done(void);
void again(void);

/* Reads the message, which lives until done(). */
bool reads_with(struct proto message, const struct onnx_external *external);
void accepted(struct proto message);
void refused(struct proto message, const char *part);

extern const int64_t four[1];

/* x -> y, with the nodes for the caller */
struct proto face(const char *input, const char *output);
struct proto with_initializer(struct proto tensor);
struct proto with_node(struct proto node);

/* A graph of one node, and `output` as its output; a node that has such a graph; the graph when
 * read. */
struct proto body(struct proto node, const char *output);
struct proto node_with_body(const char *name, const char *output, struct proto graph);
const struct graph *body_of(const struct graph *graph, int node);

const struct value *value_of(const struct graph *graph, const char *name);

/* A suite of one case with the fixture. */
Suite *reading_suite(const char *name, TCase **tests);

#endif
