/*
 * Where the batch is not the first axis: networks over [time, batch, features], states that come and go, inputs and
 * outputs that have it in different places; each item has then the bits that it has alone. And their brothers that
 * look alike and couple items, which have no batch.
 */
#include "engine/axes.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "engine/small.h"
#include "mates.h"

/* An input: "name time,batch,4", free axes "?" or by their names. */
struct net {
    const char *what, *inputs[3], *outputs, *nodes;
    const char *axes; /* of inputs, then of outputs: "1,1 0"; "" where there is no batch */
};

#define LSTM "LSTM x,w,r > a,h,c hidden_size=3; Squeeze a,second > b;"
#define GRU "GRU x,gw,gr,,,h0 > a,h hidden_size=3; Squeeze a,second > y;"

static const struct net nets[] = {
    {"time first, unnamed", {"x ?,?,4"}, "y", LSTM "MatMul b,out > y", "1 1"},
    {"time first, named", {"x time,batch,4"}, "y", LSTM "MatMul b,out > y", "1 1"},
    {"names of an exporter's own", {"x s0,s1,4"}, "y", LSTM "MatMul b,out > y", "1 1"},
    {"time that is fixed", {"x 7,?,4"}, "y", LSTM "MatMul b,out > y", "1 1"},
    {"the last step alone", {"x time,batch,4"}, "y", LSTM "Squeeze h,first > y", "1 0"},
    {"its states given too", {"x time,batch,4"}, "y,h,c", LSTM "MatMul b,out > y", "1 1,1,1"},
    {"all that it gives", {"x time,batch,4"}, "a", "LSTM x,w,r > a hidden_size=3", "1 2"},
    {"batch first",
     {"x ?,?,4"},
     "y",
     "Transpose x > t perm=1,0,2; LSTM t,w,r > a hidden_size=3; Squeeze a,second > b;"
     "Transpose b > y perm=1,0,2",
     "0 0"},
    {"states in and out", {"x t,n,4", "h0 1,n,3"}, "y,h", GRU, "1,1 1,1"},
    {"unnamed states", {"x ?,?,4", "h0 1,?,3"}, "y,h", GRU, "1,1 1,1"},
    {"states, batch first",
     {"x ?,?,4", "h0 1,?,3"},
     "z,h",
     "Transpose x > t perm=1,0,2; GRU t,gw,gr,,,h0 > a,h"
     " hidden_size=3; Squeeze a,second > y; Transpose y > z perm=1,0,2",
     "0,1 0,1"},
    {"one step at a time", {"x 1,n,4", "h0 1,n,3"}, "y,h", GRU, "1,1 1,1"},
    {"states and names of an exporter's own", {"x s1,s0,4", "h0 1,s0,3"}, "y,h", GRU, "1,1 1,1"},
    {"LSTM with both states",
     {"x t,batch,4", "h0 1,batch,3", "c0 1,batch,3"},
     "y,h,c",
     "LSTM x,w,r,,,h0,c0 > y,h,c hidden_size=3",
     "1,1,1 2,1,1"},
    {"two places", {"x batch,4", "z 4,batch"}, "y", "Transpose z > t; Add x,t > y", "0,1 0"},
    {"a shared name", {"x a,4", "z 4,a"}, "y", "Transpose z > t; Add x,t > y", "0,1 0"},
    {"turned at the end", {"x ?,4"}, "y", "Relu x > a; Transpose a > y", "0 1"},
    {"given both ways", {"x ?,4"}, "y,z", "Relu x > y; Transpose y > z", "0 0,1"},
    {"a name before the first axis", {"x time,batch,4"}, "y", "MatMul x,square > y", "1 1"},
    {"a letter behind it", {"x ?,n,4"}, "y", "MatMul x,square > y", "0 0"}, /* a length, as likely */
    {"a letter that says it", {"x ?,n,4"}, "y", "ReduceMean x > m axes=0; Sub x,m > y", "1 1"},
    {"last", {"x 4,5,batch"}, "y", "Relu x > y", "2 2"},

    {"softmax over the batch", {"x time,batch,4"}, "y", LSTM "Softmax b > y axis=1", ""},
    {"softmax over the batch, unnamed", {"x ?,?,4"}, "y", LSTM "Softmax b > y axis=1", ""},
    {"a mean over it", {"x time,batch,4"}, "y", LSTM "ReduceMean b > m axes=1; Add b,m > y", ""},
    {"a peak over everything", {"x ?,?,4"}, "y", LSTM "ReduceMax b > m; Sub b,m > y", ""},
    {"batch folded into time",
     {"x time,batch,4"},
     "y",
     "Reshape x,fold > f; LSTM f,w,r > a hidden_size=3;"
     "Squeeze a,second > y",
     ""},
    {"folded, unnamed", {"x ?,?,4"}, "y", "Reshape x,fold > f; LSTM f,w,r > a hidden_size=3; Squeeze a,second > y", ""},
    {"the batch as time", {"x batch,time,4"}, "y", LSTM "MatMul b,out > y", ""},
    {"turned so that it is time", {"x 5,batch,4"}, "y", "Transpose x > t perm=1,0,2; LSTM t,w,r > y hidden_size=3", ""},
    {"states of one for all",
     {"x t,n,4", "h0 1,1,3"},
     "y,h",
     "Shape x > s; Gather s,second > k axis=0;"
     "Concat ones,k,three > e axis=0; Expand h0,e > i; GRU x,gw,gr,,,i > y,h hidden_size=3",
     ""},
    {"states of others", {"x t,n,4", "h0 1,m,3"}, "y,h", GRU, ""},
    {"states swapped",
     {"x t,n,4", "h0 1,n,3"},
     "y,h",
     "Slice h0,last,far,second,back_one > i;"
     "GRU x,gw,gr,,,i > y,h hidden_size=3",
     ""},
    {"one output that mixes", {"x time,batch,4"}, "y,m", LSTM "MatMul b,out > y; ReduceMean b > m axes=1", ""},
    {"places that do not meet", {"x batch,4", "z 4,batch"}, "y", "MatMul x,z > y", ""},
    {"two names of a batch", {"x batch,4", "z 4,n"}, "y", "Transpose z > t; Add x,t > y", ""},
    {"what all items share", {"x batch,4", "z 1,4"}, "y", "Add x,z > y", ""},
    {"several rows an item", {"x time,batch,4"}, "y", LSTM "Reshape b,rows > y", ""},
};

static void add_fixed(struct small *s)
{
    small_weights(s, "w", 3, DIMS(1, 12, 4), 1);
    small_weights(s, "r", 3, DIMS(1, 12, 3), 2);
    small_weights(s, "gw", 3, DIMS(1, 9, 4), 3);
    small_weights(s, "gr", 3, DIMS(1, 9, 3), 4);
    small_weights(s, "out", 2, DIMS(3, 2), 5);
    small_weights(s, "square", 2, DIMS(4, 4), 6);
    small_ints(s, "first", 1, DIMS(0));
    small_ints(s, "second", 1, DIMS(1));
    small_ints(s, "ones", 1, DIMS(1));
    small_ints(s, "three", 1, DIMS(3));
    small_ints(s, "fold", 3, DIMS(-1, 1, 4));
    small_ints(s, "rows", 2, DIMS(-1, 3));
    small_ints(s, "last", 1, DIMS(-1));
    small_ints(s, "far", 1, DIMS(-1000));
    small_ints(s, "back_one", 1, DIMS(-1));
}

static void add_input(struct small *s, const char *text)
{
    int64_t dims[4];
    char copy[64], names[64] = "", *save;
    int rank = 0;
    strcpy(copy, text);
    const char *name = strtok_r(copy, " ", &save);
    for (const char *dim; (dim = strtok_r(NULL, ",", &save)); rank++) {
        const bool fixed = *dim >= '0' && *dim <= '9';
        dims[rank] = fixed ? strtoll(dim, NULL, 10) : -1;
        strcat(names, fixed || *dim == '?' ? "" : dim);
        strcat(names, ",");
    }
    small_input_named(s, name, rank, dims, names);
}

static struct percept_model *open_net(const struct net *net)
{
    char copy[32], *save;
    struct small s = small_begin();
    for (size_t i = 0; i < 3 && net->inputs[i]; i++)
        add_input(&s, net->inputs[i]);
    strcpy(copy, net->outputs);
    for (const char *name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save))
        small_output(&s, name, -1, NULL);
    add_fixed(&s);
    small_nodes(&s, net->nodes);
    return small_open(&s);
}

/* "1,1 0": of inputs, then of outputs. */
static const char *axes_of(const struct percept_model *model, char *text)
{
    int n_in, n_out;
    size_t used = 0;
    const struct percept_io *in = percept_inputs(model, &n_in), *out = percept_outputs(model, &n_out);
    for (int i = 0; i < n_in + n_out; i++) {
        const struct percept_io *io = i < n_in ? &in[i] : &out[i - n_in];
        used += (size_t)sprintf(text + used, "%s%d", i == n_in ? " " : i ? "," : "", io->batch_axis);
    }
    return text;
}

START_TEST(the_batch_is_where_it_is_proved)
{
    const struct net *net = &nets[_i];
    struct percept_model *model = open_net(net);
    const struct percept_description d = small_describe(model);
    char text[64], what[160] = "";
    int n;
    const bool apart = *net->axes;
    ck_assert_msg(d.batch_free == apart, "%s: %s", net->what, d.batch_reason);
    ck_assert_msg(apart == !*d.batch_reason, "%s: %s", net->what, d.batch_reason);
    ck_assert(!d.batch_rewritten && !d.batch_asserted);
    axes_of(model, text);
    ck_assert_msg(apart ? strcmp(text, net->axes) == 0 : strspn(text, "-1, ") == strlen(text), "%s: %s", net->what,
                  text);
    for (int o = 0; percept_outputs(model, &n) && o < n && apart; o++)
        ck_assert_int_eq(percept_outputs(model, &n)[o].dims[percept_outputs(model, &n)[o].batch_axis], -1);
    const enum mates_found found = mates_compare(model, 5, 3, false, what, sizeof what);
    ck_assert_msg(found == (apart ? MATES_SAME : MATES_UNTOLD), "%s: %s", net->what, what);
    percept_close(model);
}
END_TEST

/* Along other axes than the first there is no word that counts: at shapes without a proof nothing is joined. */
/* With the owner's word that items are independent, or without. */
static struct percept_model *open_with_word(struct small *s, bool word)
{
    struct proto file = small_end(s);
    const struct percept_options options = {
        .size = sizeof options, .region = PERCEPT_REGION_PRIVATE, .batch_independent = word};
    struct percept_err err = {0};
    struct percept_model *model = percept_open_memory(file.at, file.n, &options, &err);
    proto_free(&file);
    ck_assert_msg(model != NULL, "%s", err.text);
    return model;
}

START_TEST(the_owners_word_is_about_first_axes)
{
    struct small s = small_begin();
    small_input_named(&s, "x", 3, DIMS(-1, -1, 4), "time,batch");
    small_output(&s, "y", -1, NULL);
    small_nodes(&s, "LSTM x,w,r > a hidden_size=3; Squeeze a,second > b; ReduceMean b > m axes=1; Add b,m > y");
    add_fixed(&s);
    struct percept_model *model = open_with_word(&s, true);
    const struct percept_description d = small_describe(model);
    int n;
    ck_assert(d.batch_free && d.batch_asserted);
    ck_assert_int_eq(percept_inputs(model, &n)->batch_axis, 0);
    ck_assert_int_eq(percept_outputs(model, &n)->batch_axis, 0);
    ck_assert_ptr_nonnull(strstr(d.batch_reason, "ReduceMean"));
    percept_close(model);
}
END_TEST

/* [time, batch, 4], seen as 24 rows and then summed up along them: at a time of 36 these are of several items. */
START_TEST(a_proof_is_looked_for_at_the_shapes_that_are_run)
{
    for (int word = 0; word < 2; word++) {
        struct small s = small_begin();
        small_input_named(&s, "x", 3, DIMS(-1, -1, 4), "time,batch");
        small_output(&s, "y", -1, NULL);
        small_ints(&s, "zero", 1, DIMS(0));
        small_ints(&s, "turned", 3, DIMS(24, -1, 4));
        small_nodes(&s, "Shape x > s; Reshape x,turned > t; CumSum t,zero > c; Reshape c,s > y");
        struct percept_model *model = open_with_word(&s, word);
        ck_assert(small_describe(model).batch_free && !small_describe(model).batch_asserted);
        struct percept_session *session = small_session(model);
        ck_assert(percept_resize(session, 0, 3, DIMS(24, 3, 4), NULL) && percept_items_independent(session));
        ck_assert(percept_resize(session, 0, 3, DIMS(36, 2, 4), NULL) && !percept_items_independent(session));
        ck_assert(percept_resize(session, 0, 3, DIMS(48, 1, 4), NULL) && percept_items_independent(session));
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

START_TEST(no_word_makes_items_where_an_output_has_none)
{
    struct small s = small_xy(2, DIMS(-1, 4));
    small_nodes(&s, "ReduceMean x > y axes=0 keepdims=0");
    struct percept_model *model = open_with_word(&s, true);
    ck_assert(!small_describe(model).batch_free);
    struct percept_session *session = small_session(model);
    ck_assert(percept_resize(session, 0, 2, DIMS(3, 4), NULL));
    ck_assert(!percept_items_independent(session));
    percept_session_free(session);
    percept_close(model);
}
END_TEST

Suite *engine_axes_suite(void);
Suite *engine_axes_suite(void)
{
    Suite *suite = suite_create("engine_axes");
    TCase *tests = tcase_create("axes");
    tcase_add_loop_test(tests, the_batch_is_where_it_is_proved, 0, (int)(sizeof nets / sizeof *nets));
    tcase_add_test(tests, the_owners_word_is_about_first_axes);
    tcase_add_test(tests, no_word_makes_items_where_an_output_has_none);
    tcase_add_test(tests, a_proof_is_looked_for_at_the_shapes_that_are_run);
    suite_add_tcase(suite, tests);
    return suite;
}
