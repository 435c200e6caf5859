/*
 * v1.c - what V1's clients ask of a model besides predictions: TensorFlow Serving's status and metadata, KServe's
 * readiness. Predictions are v2_infer.c's, since a request of V1 is a job as any other: its codec and its encoder
 * (serve/codec_v1.c, encoder_v1.c) alone are V1's.
 *
 * Both protocols have GET /v1/models/NAME. The reply has the members of both; its status is KServe's, 503 where no
 * version is ready, because probes look at nothing else.
 *
 * Classifying and regressing want features by name, and explaining an explainer: refused in a sentence, not with a 404
 * that looks like a wrong address. Thread: the loop.
 */
#include "http/exchange.h"

#include "http/routes.h"
#include "serve/codec.h"

#include <inttypes.h>

#define JSON "application/json"

/* --- status ------------------------------------------------------------------------------------------------------- */

static const char *state_name(enum served_state state)
{
    static const char *const names[] = {[SERVED_LOADING] = "LOADING",
                                        [SERVED_READY] = "AVAILABLE",
                                        [SERVED_FAILED] = "END",
                                        [SERVED_UNLOADING] = "UNLOADING"};
    return names[state];
}

static void add_version(struct text *text, const struct served *served)
{
    bool failed = served->state == SERVED_FAILED;
    text_printf(text, "{\"version\":\"%" PRId64 "\",\"state\":\"%s\",\"status\":{\"error_code\":\"%s\"",
                served->version, state_name(served->state), failed ? "INTERNAL" : "OK");
    text_add(text, ",\"error_message\":");
    text_json(text, failed ? served->reason : "");
    text_add(text, "}}");
}

void v1_status(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct text text = {.arena = &exchange->arena};
    const struct served *found = catalog_find(exchange->site->catalog, exchange->name, exchange->version, &err);
    if (!found) {
        exchange_error(exchange, &err);
        return;
    }
    bool one = exchange->version != 0, ready = false;
    const char *comma = "";
    text_add(&text, "{\"model_version_status\":[");
    for (const struct served *at = catalog_first(exchange->site->catalog); at; at = at->next) {
        if (one ? at != found : strcmp(at->name, found->name) != 0)
            continue;
        text_add(&text, comma);
        add_version(&text, at);
        ready |= at->state == SERVED_READY;
        comma = ",";
    }
    ready = ready && !catalog_draining(exchange->site->catalog);
    text_add(&text, "],\"name\":");
    text_json(&text, found->name);
    text_printf(&text, ",\"ready\":%s}", ready ? "true" : "false");
    exchange_reply_text(exchange, ready ? 200 : 503, JSON, &text);
}

/* --- metadata ----------------------------------------------------------------------------------------------------- */

static const char *type_name(enum percept_dtype dtype)
{
    static const char *const names[] = {
        [PERCEPT_FLOAT] = "DT_FLOAT",   [PERCEPT_UINT8] = "DT_UINT8",       [PERCEPT_INT8] = "DT_INT8",
        [PERCEPT_UINT16] = "DT_UINT16", [PERCEPT_INT16] = "DT_INT16",       [PERCEPT_INT32] = "DT_INT32",
        [PERCEPT_INT64] = "DT_INT64",   [PERCEPT_STRING] = "DT_STRING",     [PERCEPT_BOOL] = "DT_BOOL",
        [PERCEPT_FLOAT16] = "DT_HALF",  [PERCEPT_DOUBLE] = "DT_DOUBLE",     [PERCEPT_UINT32] = "DT_UINT32",
        [PERCEPT_UINT64] = "DT_UINT64", [PERCEPT_BFLOAT16] = "DT_BFLOAT16",
    };
    size_t i = (size_t)dtype;
    return i < sizeof names / sizeof *names && names[i] ? names[i] : "DT_INVALID";
}

/* 64-bit numbers are strings in these replies. */
static void add_ios(struct text *text, const char *member, const struct percept_io *ios, int n)
{
    text_printf(text, "\"%s\":{", member);
    for (int i = 0; i < n; i++) {
        text_add(text, i ? "," : "");
        text_json(text, ios[i].name);
        text_printf(text, ":{\"dtype\":\"%s\",\"tensor_shape\":{\"dim\":[", type_name(ios[i].dtype));
        for (int k = 0; k < ios[i].rank; k++) {
            text_printf(text, "%s{\"size\":\"%" PRId64 "\",\"name\":", k ? "," : "", ios[i].dims[k]);
            text_json(text, ios[i].dim_names[k] ? ios[i].dim_names[k] : "");
            text_add(text, "}");
        }
        text_printf(text, "],\"unknown_rank\":%s},\"name\":", ios[i].rank < 0 ? "true" : "false");
        text_json(text, ios[i].name);
        text_add(text, "}");
    }
    text_add(text, "}");
}

void v1_metadata(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct text text = {.arena = &exchange->arena};
    const struct served *served = catalog_find_ready(exchange->site->catalog, exchange->name, exchange->version, &err);
    if (!served) {
        exchange_error(exchange, &err);
        return;
    }
    int n_inputs, n_outputs;
    const struct percept_io *inputs = served_inputs(served, &n_inputs);
    const struct percept_io *outputs = served_outputs(served, &n_outputs);
    text_add(&text, "{\"model_spec\":{\"name\":");
    text_json(&text, served->name);
    text_printf(&text,
                ",\"signature_name\":\"\",\"version\":\"%" PRId64
                "\"},\"metadata\":{\"signature_def\":{\"signature_def\":{\"serving_default\":{",
                served->version);
    add_ios(&text, "inputs", inputs, n_inputs);
    text_add(&text, ",");
    add_ios(&text, "outputs", outputs, n_outputs);
    text_add(&text, ",\"method_name\":\"tensorflow/serving/predict\"}}}}}");
    exchange_reply_text(exchange, 200, JSON, &text);
}

/* --- what is not served ------------------------------------------------------------------------------------------- */

void v1_refuse(struct exchange *exchange)
{
    exchange_refuse(exchange, ERR_UNSUPPORTED,
                    "%s is not served: models take tensors, and POST /v1/models/%s:predict asks one",
                    strrchr(exchange->path, ':'), exchange->name);
}
