/*
 * gen_recurrent.c - models of RNN, GRU and LSTM: direction x activations x clip x layout x lengths x
 * peepholes x linear_before_reset x input_forget x initial states x which outputs are asked for. And of
 * com.microsoft's DynamicQuantizeLSTM.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "differential/families.h"
#include "differential/oracle_recurrent.h"

/* activations, and activation_alpha and _beta for every one (some take none: those entries are skipped by
 * the specification, so they are left out when any function takes none). */
static void draw_functions(struct example *e, struct recurrent *r, int n)
{
    struct proto attr = proto_attr("activations", ATTR_STRINGS);
    float alphas[6], betas[6];
    size_t n_alpha = 0, n_beta = 0;
    bool usual = example_chance(e, 50);
    for (int i = 0; i < n; i++) {
        int k = (int)example_int(e, usual ? F_TANH : 0, usual ? F_SIGMOID : FUNCTIONS - 1);
        r->functions[i / (n / (int)r->directions)][i % (n / (int)r->directions)] = (enum function)k;
        proto_text(&attr, ATTRIBUTE_STRINGS, oracle_functions[k].name);
        example_note(e, " %s", oracle_functions[k].name);
        if (oracle_functions[k].alpha > 0)
            alphas[n_alpha++] = (float)oracle_functions[k].alpha;
        if (oracle_functions[k].beta > 0)
            betas[n_beta++] = (float)oracle_functions[k].beta;
    }
    proto_add(&e->attributes, NODE_ATTRIBUTE, attr);
    if (n_alpha)
        proto_attr_floats(&e->attributes, "activation_alpha", n_alpha, alphas);
    if (n_beta)
        proto_attr_floats(&e->attributes, "activation_beta", n_beta, betas);
}

static void draw_state(struct example *e, const struct recurrent *r)
{
    int64_t dims[3] = {r->directions, r->batch, r->hidden};
    if (r->batch_first)
        dims[0] = r->batch, dims[1] = r->directions;
    example_input(e, e->type, 3, dims, -1, 1);
    example_constant(e, 20);
}

static void draw_lengths(struct example *e, const struct recurrent *r)
{
    struct tensor *t = example_input(e, PERCEPT_INT32, 1, &r->batch, 1, (double)r->steps);
    if (example_chance(e, 50))
        ((int32_t *)t->data)[0] = (int32_t)r->steps;
    example_constant(e, 20);
}

static void draw_weights(struct example *e, const struct recurrent *r, int64_t gates, bool bias)
{
    double scale = 1 / sqrt((double)r->hidden);
    int constant = example_chance(e, 80) ? 100 : 0;
    example_input(e, e->type, 3, (int64_t[]){r->directions, gates * r->hidden, r->in}, -1, 1);
    example_constant(e, constant);
    example_input(e, e->type, 3, (int64_t[]){r->directions, gates * r->hidden, r->hidden}, -scale, scale);
    example_constant(e, constant);
    if (bias) {
        example_input(e, e->type, 2, (int64_t[]){r->directions, 2 * gates * r->hidden}, -1, 1);
        example_constant(e, constant);
    }
}

static void draw_outputs(struct example *e, int n)
{
    int kept = (int)example_int(e, 0, n); /* n: all of them */
    for (int i = 0; i < n; i++)
        example_output(e, kept == n || kept == i || (i == 0 && kept == 1) ? e->type : PERCEPT_UNDEFINED);
}

void gen_recurrent(struct example *e) /* variant: gates */
{
    struct recurrent *kept = arena_alloc(e->arena, sizeof *kept);
    struct recurrent r = {.gates = e->variant,
                          .steps = example_int(e, 1, 7),
                          .batch = example_int(e, 1, 5),
                          .in = example_int(e, 1, 9),
                          .hidden = example_int(e, 1, 17)};
    const char *direction = example_word(e, 3, (const char *const[]){"forward", "reverse", "bidirectional"});
    r.directions = direction[0] == 'b' ? 2 : 1;
    r.reverse = direction[0] == 'r';
    for (int d = 0; d < 2; d++) {
        r.functions[d][0] = e->variant == 1 ? F_TANH : F_SIGMOID;
        r.functions[d][1] = r.functions[d][2] = F_TANH;
    }
    r.batch_first = e->opset >= 14 && example_chance(e, 25);
    bool lstm = e->variant == 4, gru = e->variant == 3;
    bool lengths = example_chance(e, 35), state = example_chance(e, 45);
    bool cell = lstm && example_chance(e, 45), peepholes = lstm && example_chance(e, 30);
    bool bias = example_chance(e, 70);
    example_type(e, e->opset >= 22 ? "fffffhb" : "fffffffh");
    example_input(e, e->type, 3,
                  r.batch_first ? (int64_t[]){r.batch, r.steps, r.in} : (int64_t[]){r.steps, r.batch, r.in}, -2, 2);
    draw_weights(e, &r, e->variant, bias);
    bool more = lengths || state || cell || peepholes;
    if (!bias && more)
        example_left_out(e);
    if (lengths)
        draw_lengths(e, &r);
    else if (more)
        example_left_out(e);
    if (state)
        draw_state(e, &r);
    else if (cell || peepholes)
        example_left_out(e);
    if (cell)
        draw_state(e, &r);
    else if (peepholes)
        example_left_out(e);
    if (peepholes) {
        example_input(e, e->type, 2, (int64_t[]){r.directions, 3 * r.hidden}, -1, 1);
        example_constant(e, 80);
    }
    example_attr(e, "hidden_size", r.hidden);
    if (direction[0] != 'f' || example_chance(e, 50))
        example_attr_text(e, "direction", direction);
    if (example_chance(e, 35))
        draw_functions(e, &r, (int)r.directions * (lstm ? 3 : gru ? 2 : 1));
    if (example_chance(e, 25)) {
        r.clip = (double)(float)example_real(e, 0.2, 3);
        example_attr_real(e, "clip", r.clip);
        if (lstm)
            e->explained = "clip before h";
    }
    if (strstr(e->notes, "Softplus"))
        e->explained = "Softplus that overflows";
    if (e->opset >= 14 && (r.batch_first || example_chance(e, 10)))
        example_attr(e, "layout", r.batch_first);
    if (gru && example_chance(e, 50))
        example_attr(e, "linear_before_reset", r.linear_before_reset = example_chance(e, 50));
    if (lstm && example_chance(e, 20))
        example_attr(e, "input_forget", r.input_forget = example_chance(e, 50));
    e->absolute = 5e-5; /* errors go on from step to step */
    *kept = r;
    e->user = kept;
    e->oracle = oracle_recurrent;
    draw_outputs(e, lstm ? 3 : 2);
}

/* W or R with its scale and zero point, as floats in LSTM's layout: nodes for ONNX Runtime. */
static void ask_widened(struct example *e, const char *const *names, int64_t directions)
{
    const int64_t order[] = {0, 2, 1};
    const char *shape = names[0]; /* one for each */
    char list[64];
    proto_add(&e->constants, GRAPH_INITIALIZER,
              proto_tensor(shape, PERCEPT_INT64, 1, (int64_t[]){3}, (int64_t[]){directions, 1, -1}, 24));
    for (int i = 1; i < 4; i++) { /* weights, scale, zero point */
        char cast[32], shaped[32];
        snprintf(cast, sizeof cast, "%s_%d_float", shape, i);
        snprintf(shaped, sizeof shaped, "%s_%d", shape, i);
        struct proto node = proto_node("Cast", "", names[i], i == 1 ? shaped : cast);
        proto_attr_int(&node, "to", PERCEPT_FLOAT);
        proto_add(&e->instead, GRAPH_NODE, node);
        snprintf(list, sizeof list, "%s,%s", cast, shape);
        if (i > 1)
            proto_add(&e->instead, GRAPH_NODE, proto_node("Reshape", "", list, shaped));
    }
    snprintf(list, sizeof list, "%s_1,%s_3", shape, shape);
    char centred[32], scaled[32];
    snprintf(centred, sizeof centred, "%s_centred", shape);
    snprintf(scaled, sizeof scaled, "%s_scaled", shape);
    proto_add(&e->instead, GRAPH_NODE, proto_node("Sub", "", list, centred));
    snprintf(list, sizeof list, "%s,%s_2", centred, shape);
    proto_add(&e->instead, GRAPH_NODE, proto_node("Mul", "", list, scaled));
    struct proto turn = proto_node("Transpose", "", scaled, names[4]);
    proto_attr_ints(&turn, "perm", 3, order);
    proto_add(&e->instead, GRAPH_NODE, turn);
}

/* The float model that the weights stand for. */
static void ask_float(struct example *e, int64_t directions)
{
    char inputs[64] = "x0,W,R";
    for (int i = 3; i < 8; i++)
        snprintf(inputs + strlen(inputs), sizeof inputs - strlen(inputs), e->in[i].left_out ? "," : ",x%d", i);
    ask_widened(e, (const char *const[]){"w", "x1", "x8", "x9", "W"}, directions);
    ask_widened(e, (const char *const[]){"r", "x2", "x10", "x11", "R"}, directions);
    struct proto lstm = proto_node("LSTM", "", inputs, "y0,y1,y2");
    proto_raw(&lstm, e->attributes.at, e->attributes.n);
    proto_add(&e->instead, GRAPH_NODE, lstm);
}

/* Scale and zero point of W or R. ONNX Runtime's kernel takes other zero points than 0 with unsigned weights
 * alone, and one for all rows. */
static void draw_parameters(struct example *e, const struct recurrent *r, bool is_signed, bool rows, int constant)
{
    const int64_t dims[] = {r->directions, 4 * r->hidden};
    const int zero = is_signed ? 0 : 128;
    example_input(e, PERCEPT_FLOAT, rows ? 2 : 1, dims, 0.002, 0.01);
    example_constant(e, constant);
    example_input(e, is_signed ? PERCEPT_INT8 : PERCEPT_UINT8, rows ? 2 : 1, dims, zero, zero);
    example_constant(e, constant);
}

/* Three in four are compared with the float model, the others with ONNX Runtime's own operator, which may
 * miss by what it loses of X and of the states. */
void gen_dynamic_lstm(struct example *e)
{
    struct recurrent r = {.steps = example_int(e, 1, 5),
                          .batch = example_int(e, 1, 4),
                          .in = example_int(e, 1, 9),
                          .hidden = example_int(e, 1, 17)};
    const char *direction = example_word(e, 3, (const char *const[]){"forward", "reverse", "bidirectional"});
    r.directions = direction[0] == 'b' ? 2 : 1;
    const bool is_signed = example_chance(e, 50), rows = example_chance(e, 40);
    const bool own = example_chance(e, 25);
    const int constant = own || example_chance(e, 80) ? 100 : 0;
    const enum percept_dtype dtype = is_signed ? PERCEPT_INT8 : PERCEPT_UINT8;
    const double least = is_signed ? -127 : 0, most = is_signed ? 127 : 255;
    example_input(e, PERCEPT_FLOAT, 3, (int64_t[]){r.steps, r.batch, r.in}, -2, 2);
    example_input(e, dtype, 3, (int64_t[]){r.directions, r.in, 4 * r.hidden}, least, most);
    example_constant(e, constant);
    example_input(e, dtype, 3, (int64_t[]){r.directions, r.hidden, 4 * r.hidden}, least, most);
    example_constant(e, constant);
    if (example_chance(e, 70))
        example_input(e, PERCEPT_FLOAT, 2, (int64_t[]){r.directions, 8 * r.hidden}, -1, 1),
            example_constant(e, constant);
    else
        example_left_out(e);
    if (example_chance(e, 35))
        draw_lengths(e, &r);
    else
        example_left_out(e);
    for (int i = 0; i < 2; i++) {
        if (example_chance(e, 40))
            draw_state(e, &r);
        else
            example_left_out(e);
    }
    if (example_chance(e, 30))
        example_input(e, PERCEPT_FLOAT, 2, (int64_t[]){r.directions, 3 * r.hidden}, -1, 1);
    else
        example_left_out(e);
    draw_parameters(e, &r, is_signed, rows, constant);
    draw_parameters(e, &r, is_signed, rows, constant);
    example_attr(e, "hidden_size", r.hidden);
    example_attr_text(e, "direction", direction);
    if (own) {
        e->absolute = 0.1;
        example_note(e, " own");
    } else {
        ask_float(e, r.directions);
        e->absolute = 5e-5;
    }
    draw_outputs(e, 3);
}
