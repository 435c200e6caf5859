/*
 * Networks that couple the items of a batch, most of which two made-up items would not show, and their brothers that
 * do not: the first are never joined nor freed, the second are, and then each item has the bits that it has alone
 * whoever is beside it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/small.h"
#include "mates.h"

/* x [batch, 8] to y. */
struct net {
    const char *what, *nodes;
    bool independent;
};

static const struct net nets[] = {
    {"divided by its peak above a limit", "Abs x > a; ReduceMax a > m keepdims=1; Max m,four > d; Div x,d > y", false},
    {"divided by each item's peak", "Abs x > a; ReduceMax a > m axes=1; Max m,four > d; Div x,d > y", true},
    {"clipped below the loudest", "ReduceMax x > m; Sub m,four > low; Max x,low > y", false},
    {"clipped below each item's loudest", "ReduceMax x > m axes=-1; Sub m,four > low; Max x,low > y", true},
    {"silent where all is quiet", "Abs x > a; ReduceMax a > m; Less m,small > s; Where s,zero,x > y", false},
    {"silent where an item is", "Abs x > a; ReduceMax a > m axes=1; Less m,small > s; Where s,zero,x > y", true},
    {"silenced by a factor", "Abs x > a; ReduceMax a > m; Greater m,small > s; Cast s > f to=1; Mul x,f > y", false},
    {"guarded against NaN", "IsNaN x > n; Cast n > f to=1; ReduceSum f > s; Greater s,zero > b; Where b,zero,x > y",
     false},
    {"guarded element by element", "IsNaN x > n; Where n,zero,x > y", true},
    {"guarded against infinity", "IsInf x > n; Cast n > f to=1; ReduceMax f > s; Sub one,s > k; Mul k,x > y", false},
    {"above the mean of the batch", "ReduceMean x > m axes=0; Greater m,four > b; Where b,zero,x > y", false},
    {"above its mean", "ReduceMean x > m axes=1; Greater m,four > b; Where b,zero,x > y", true},
    {"a table looked up by a maximum",
     "ReduceMax x > m keepdims=0; Abs m > a; Floor a > f; Min f,one > g; Cast g > i to=7;"
     "Gather table,i > r axis=0; Add x,r > y",
     false},
    {"a table looked up by each item",
     "ReduceMax x > m axes=1 keepdims=0; Abs m > a; Floor a > f; Min f,one > g;"
     "Cast g > i to=7; Gather table,i > r axis=0; Add x,r > y",
     true},
    {"what is chosen by a sum", "ReduceSum x > m; Greater m,four > b; Neg x > n; Where b,n,x > y", false},
    {"sorted rows", "Unique x > y axis=0", false},
    {"rows that are chosen", "ReduceMax x > m axes=1 keepdims=0; Greater m,small > b; Compress x,b > y axis=0", false},
    {"where there is something", "NonZero x > i; Transpose i > y", false},
    {"softmax over the batch", "Softmax x > y axis=0", false},
    {"softmax over the batch, turned", "Transpose x > t; Softmax t > s axis=1; Transpose s > y", false},
    {"as maxima of columns and of lines", "Transpose x > t; ReduceMax t > m axes=0; Sub t,m > e; Transpose e > y",
     false},
    {"as maxima of columns",
     "Reshape x,halves > h; Transpose h > t perm=1,0,2; ReduceMax t > m axes=0; Sub t,m > e;"
     "Transpose e > u perm=1,0,2; Flatten u > y",
     true},
    {"log-softmax over the batch", "LogSoftmax x > y axis=-2", false},
    {"hardmax over the batch", "Hardmax x > y axis=0", false},
    {"the batch's best, added", "ArgMax x > i axis=0; Cast i > f to=1; Add x,f > y", false},
    {"an item's best, added", "ArgMax x > i axis=1; Cast i > f to=1; Add x,f > y", true},
    {"the batch's top", "TopK x,ones > t,i axis=0; Add x,t > y", false},
    {"an item's top", "TopK x,ones > t,i axis=1; Add x,t > y", true},
    {"summed along the batch", "CumSum x,first > y", false},
    {"summed along an item", "CumSum x,second > y", true},
    {"where the maxima are",
     "Unsqueeze x,second > p; MaxPool p > q,i kernel_shape=2; Cast i > f to=1;"
     "ReduceMax f > y axes=1,2 keepdims=1",
     false},
    {"each by each", "Einsum x,x > g equation=bi,ci->bc; MatMul g,x > y", false},
    {"the batch's moments", "Einsum x,x > g equation=bi,bi->i; Add x,g > y", false},
    {"its moments", "Einsum x,x > g equation=bi,bi->b; Unsqueeze g,second > h; Add x,h > y", true},
    {"one scale for the batch", "DynamicQuantizeLinear x > q,s,z; DequantizeLinear q,s,z > y", false},
    {"a scale that is given", "QuantizeLinear x,small > q; DequantizeLinear q,small > y", true},
    {"the batch as time", "Unsqueeze x,second > t; LSTM t,w_lstm,r_lstm > o hidden_size=2; Squeeze o,second > y",
     false},
    {"an item as time", "Unsqueeze x,third > t; LSTM t,w_one,r_lstm > o hidden_size=2 layout=1; Flatten o > y", true},
    {"divided by how many there are", "Shape x > s; Gather s,first > n axis=0; Cast n > f to=1; Div x,f > y", false},
    {"divided by how long it is", "Shape x > s; Gather s,second > n axis=0; Cast n > f to=1; Div x,f > y", true},
    {"the mean by hand",
     "ReduceSum x,firsts > s; Shape x > k; Gather k,first > n axis=0; Cast n > f to=1; Div s,f > m;"
     "Sub x,m > y",
     false},
    {"numbers of the batch's own", "Shape x > s; Expand ones_f,s > e; CumSum e,first > c; Add x,c > y", false},
    {"normalised by the batch", "MeanVarianceNormalization x > y axes=0", false},
    {"normalised by itself", "MeanVarianceNormalization x > y axes=1", true},
    {"a quarter beside another's", "Reshape x,quarters > q; Reshape q,back > y", false},
    {"turned by the batch", "Transpose x > t; Reshape t,rows_of_8 > y", false},
    {"turned and back", "Transpose x > t; Relu t > r; Transpose r > y", true},
    {"time and batch merged",
     "Unsqueeze x,first > t; Concat t,t > u axis=0; Reshape u,rows_of_8 > m; MatMul m,square > p;"
     "Reshape p,two_first > q; ReduceMax q > y axes=0 keepdims=0",
     true},
    {"merged the wrong way",
     "Unsqueeze x,first > t; Concat t,t > u axis=0; Reshape u,rows_of_8 > m; Reshape m,pairs > q;"
     "ReduceMax q > y axes=1 keepdims=0",
     false},
    {"the first item's for all", "Gather x,first > f axis=0; Add x,f > y", false},
    {"items in reverse", "Slice x,last,far,first,back_one > y", false},
    {"items put back in order", "Slice x,last,far,second,back_one > y", true},
    {"with noise", "RandomNormalLike x > r; Add x,r > y", false},
    {"attention among items", "Transpose x > t; MatMul x,t > s; Softmax s > p axis=1; MatMul p,x > y", false},
    {"attention within",
     "Reshape x,halves > h; Transpose h > t perm=0,2,1; MatMul h,t > s; Softmax s > p axis=2;"
     "MatMul p,h > o; Flatten o > y",
     true},
};

static void add_fixed(struct small *s)
{
    small_floats(s, "four", 0, NULL, (float[]){4});
    small_floats(s, "small", 0, NULL, (float[]){0.01f});
    small_floats(s, "zero", 0, NULL, (float[]){0});
    small_floats(s, "one", 0, NULL, (float[]){1});
    small_floats(s, "ones_f", 1, DIMS(1), (float[]){1});
    small_weights(s, "table", 2, DIMS(2, 8), 1);
    small_weights(s, "square", 2, DIMS(8, 8), 2);
    small_weights(s, "w_lstm", 3, DIMS(1, 8, 8), 3);
    small_weights(s, "w_one", 3, DIMS(1, 8, 1), 4);
    small_weights(s, "r_lstm", 3, DIMS(1, 8, 2), 5);
    small_ints(s, "ones", 1, DIMS(1));
    small_ints(s, "first", 1, DIMS(0));
    small_ints(s, "firsts", 1, DIMS(0));
    small_ints(s, "second", 1, DIMS(1));
    small_ints(s, "third", 1, DIMS(2));
    small_ints(s, "last", 1, DIMS(-1));
    small_ints(s, "far", 1, DIMS(-1000));
    small_ints(s, "back_one", 1, DIMS(-1));
    small_ints(s, "quarters", 2, DIMS(2, -1));
    small_ints(s, "back", 2, DIMS(-1, 8));
    small_ints(s, "rows_of_8", 2, DIMS(-1, 8));
    small_ints(s, "two_first", 3, DIMS(2, -1, 8));
    small_ints(s, "pairs", 3, DIMS(-1, 2, 8));
    small_ints(s, "halves", 3, DIMS(0, 2, 4));
}

/* The file says that there are so many items (-1: any). */
static struct percept_model *open_net(const struct net *net, int64_t items, bool vouched)
{
    struct small s = small_xy(2, DIMS(items, 8));
    add_fixed(&s);
    small_nodes(&s, net->nodes);
    struct proto file = small_end(&s);
    const struct percept_options options = {.size = sizeof options,
                                            .level = getenv("PERCEPTD_KERNELS"),
                                            .region = PERCEPT_REGION_PRIVATE,
                                            .batch_independent = vouched};
    struct percept_err err = {0};
    struct percept_model *model = percept_open_memory(file.at, file.n, &options, &err);
    proto_free(&file);
    ck_assert_msg(model != NULL, "%s: %s", net->what, err.text);
    return model;
}

START_TEST(items_are_joined_only_where_they_are_apart)
{
    const struct net *net = &nets[_i / 2];
    struct percept_model *model = open_net(net, _i % 2 ? 1 : -1, false);
    const struct percept_description d = small_describe(model);
    char what[160] = "";
    ck_assert_msg(d.batch_free == net->independent, "%s: %s", net->what, d.batch_reason);
    ck_assert_int_eq(d.batch_rewritten, net->independent && _i % 2);
    ck_assert_msg(net->independent == !*d.batch_reason, "%s: %s", net->what, d.batch_reason);
    const enum mates_found found = mates_compare(model, 1, 3, false, what, sizeof what);
    ck_assert_msg(found == (net->independent ? MATES_SAME : MATES_UNTOLD), "%s: %s", net->what, what);
    percept_close(model);
}
END_TEST

START_TEST(what_cannot_be_proved_may_be_said)
{
    for (int k = 0; k < 2; k++) {
        struct percept_model *model = open_net(&nets[0], k ? 1 : -1, true);
        const struct percept_description d = small_describe(model);
        ck_assert(d.batch_free);
        ck_assert(d.batch_asserted);
        ck_assert_int_eq(d.batch_rewritten, k);
        ck_assert_ptr_nonnull(strstr(d.batch_reason, "ReduceMax"));
        struct percept_session *session = small_session(model);
        static const float x[24] = {1};
        ck_assert_ptr_nonnull(small_run(session, 2, DIMS(3, 8), x));
        ck_assert(percept_items_independent(session));
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

/* The word is not needed, and not told, where there is a proof. */
START_TEST(a_proof_comes_before_the_word)
{
    struct percept_model *model = open_net(&nets[1], -1, true);
    ck_assert(small_describe(model).batch_free);
    ck_assert(!small_describe(model).batch_asserted);
    percept_close(model);
}
END_TEST

/* x [batch, length] turned to [24, -1] and back: apart at a length of 24, which is what a trial tries. */
START_TEST(a_proof_is_looked_for_at_the_shapes_that_are_run)
{
    for (int k = 0; k < 2; k++) {
        struct small s = small_xy(2, DIMS(k ? 1 : -1, -1));
        small_ints(&s, "turned", 2, DIMS(24, -1));
        small_node(&s, "Shape", "x", "shape");
        small_node(&s, "Transpose", "x", "t");
        small_node(&s, "Reshape", "t,turned", "a");
        small_node_int(&s, "CumSum", "a,zero", "b", "exclusive", 0);
        small_ints(&s, "zero", 1, DIMS(0));
        small_node(&s, "Transpose", "b", "c");
        small_node(&s, "Reshape", "c,shape", "y");
        struct percept_model *model = small_open(&s);
        ck_assert(small_describe(model).batch_free);
        struct percept_session *session = small_session(model);
        struct percept_err err = {0};
        ck_assert(percept_resize(session, 0, 2, DIMS(3, 24), NULL) && percept_items_independent(session));
        ck_assert(percept_resize(session, 0, 2, DIMS(3, 48), NULL) && !percept_items_independent(session));
        ck_assert_int_eq(percept_prepare(session, &err), !k); /* what the file says is 1 is nothing else then */
        ck_assert_msg(!k || (err.code == ERR_INVALID && strstr(err.text, "the batch is 1")), "%s", err.text);
        ck_assert(percept_resize(session, 0, 2, DIMS(3, 24), NULL) && percept_items_independent(session));
        ck_assert(percept_resize(session, 0, 2, DIMS(1, 48), NULL) && percept_items_independent(session));
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

Suite *engine_coupled_suite(void);
Suite *engine_coupled_suite(void)
{
    Suite *suite = suite_create("engine_coupled");
    TCase *tests = tcase_create("coupled");
    tcase_add_loop_test(tests, items_are_joined_only_where_they_are_apart, 0, 2 * (int)(sizeof nets / sizeof *nets));
    tcase_add_test(tests, what_cannot_be_proved_may_be_said);
    tcase_add_test(tests, a_proof_comes_before_the_word);
    tcase_add_test(tests, a_proof_is_looked_for_at_the_shapes_that_are_run);
    suite_add_tcase(suite, tests);
    return suite;
}
