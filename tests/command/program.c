/* program.c - see program.h. */
#include "program.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/npy.h"
#include "graph/proto.h"

bool program_there;

static bool is_there(void)
{
    const char *binary = getenv("PERCEPTD_BINARY");
    if (binary && access(binary, X_OK) == 0)
        return true;
    printf("skipped: PERCEPTD_BINARY names no program\n");
    return false;
}

static void write_model(const char *name, struct proto graph)
{
    struct proto model = proto_model(graph, 13);
    folder_put(name, model.at, model.n);
    proto_free(&model);
}

static void write_relu(void)
{
    const int64_t dims[] = {-1, 2};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "the_relu", "x", "y"));
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, dims));
    write_model("relu.onnx", graph);
}

static void write_add(void)
{
    const int64_t dims[] = {-1, 3};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "the_add", "a,b", "out/put:0"));
    proto_add(&graph, GRAPH_INPUT, proto_value("a", PERCEPT_FLOAT, 2, dims));
    proto_add(&graph, GRAPH_INPUT, proto_value("b", PERCEPT_FLOAT, 2, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("out/put:0", PERCEPT_FLOAT, 2, dims));
    write_model("add.onnx", graph);
}

/* Two rows: an index of 2 would fail the run. */
static void write_pick(void)
{
    const int64_t dims[] = {-1, -1}, out[] = {-1, -1, 3}, table[] = {2, 3};
    const float values[] = {1, 2, 3, 4, 5, 6};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Gather", "the_gather", "table,x", "y"));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("table", PERCEPT_FLOAT, 2, table, values, sizeof values));
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_INT64, 2, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 3, out));
    write_model("pick.onnx", graph);
}

void program_write_rude(void)
{
    const int64_t dims[] = {-1, 2};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "node\x1b[2J", "in\x1b[2J", "out\n\xc2\x9b"));
    proto_add(&graph, GRAPH_INPUT, proto_value("in\x1b[2J", PERCEPT_FLOAT, 2, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("out\n\xc2\x9b", PERCEPT_FLOAT, 2, dims));
    write_model("rude.onnx", graph);
}

void program_write_training(void)
{
    const int64_t dims[] = {-1, 2}, two = 2;
    const float ones[] = {1, 1};
    struct proto graph = {0}, norm = proto_node("BatchNormalization", "bn", "x,one,one,one,one", "y,m,v,sm,sv");
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, dims));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("one", PERCEPT_FLOAT, 1, &two, ones, sizeof ones));
    proto_add(&graph, GRAPH_NODE, norm);
    write_model("training.onnx", graph);
}

void program_begin(void)
{
    program_there = is_there();
    if (!program_there)
        return;
    folder_begin("command");
    write_relu();
    write_add();
    write_pick();
    folder_put("broken.onnx", "\xff\xff\xff", 3);
}

void program_end(void)
{
    if (program_there)
        folder_end();
}

struct program_result program_run(const char *format, ...)
{
    struct program_result result = {0};
    char arguments[1024], command[1400];
    va_list args;
    va_start(args, format);
    vsnprintf(arguments, sizeof arguments, format, args);
    va_end(args);
    snprintf(command, sizeof command, "PERCEPTD_REGION_PREFIX=percept-test-%d %s 2>&1 </dev/null %s", getpid(),
             getenv("PERCEPTD_BINARY"), arguments);
    FILE *out = popen(command, "r");
    ck_assert_ptr_nonnull(out);
    size_t n = fread(result.text, 1, sizeof result.text - 1, out);
    result.text[n] = '\0';
    int status = pclose(out);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

void program_write_floats(const char *name, int rank, const int64_t *dims, const float *values)
{
    struct percept_err err;
    struct percept_tensor tensor = {.dtype = PERCEPT_FLOAT, .rank = rank, .data = (void *)(uintptr_t)values};
    for (int d = 0; d < rank; d++)
        tensor.dims[d] = dims[d];
    ck_assert_msg(npy_write(folder_at(name), &tensor, &err), "%s", err.text);
}
