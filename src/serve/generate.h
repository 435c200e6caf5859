/*
 * generate.h - a text that goes on: the loop of a network over tokens, one by one.
 *
 *     prompt -> tokens -> step -> scores -> the next token -> step -> ... -> an end, a stop text, or the limit
 *
 * With an encoder (companion.h) the text is no prompt: it is read once (intake.h), what comes of it feeds the steps,
 * and the answer is another text, from a token that says so on.
 *
 * The request is a parent (job.h): each step is a child in the model's lane, so that the steps of many callers share
 * batches and callers join and leave between steps. States go from step to step by what the manifest's `sequence`
 * says; `generate` says which input takes tokens and which output scores the next one.
 */
#ifndef SERVE_GENERATE_H
#define SERVE_GENERATE_H

#include "serve/codec.h"
#include "serve/search.h"
#include "serve/sampler.h"

#define GENERATE_STOPS 8

enum generate_finish { FINISH_LENGTH, FINISH_STOP };

/* One of several that were found. */
struct generate_text {
    struct bytes text;
    enum generate_finish finish;
    double score; /* beam.h's */
};

/* What is asked, and what came of it; in the job's arena. */
struct generation {
    struct sampler sampler;
    struct bytes prompt;
    int64_t most; /* tokens to be made */
    bool echo;    /* the prompt is part of the text */
    bool stream;  /* it was asked for token by token */
    int n_stops;
    struct bytes stops[GENERATE_STOPS];
    struct intake *intake;            /* NULL: the prompt is the model's own */
    int64_t n_read;                   /* tokens of the prompt, whoever reads it */
    int64_t n_prompt, n_tokens, room; /* tokens that the model is given at first; with those that were made; */
    int64_t *tokens;
    char *text; /* made so far */
    size_t n_text, text_room;
    size_t n_sure; /* of the text, that stay: no stop text can begin in them, and characters are whole */
    enum generate_finish finish;
    double length_penalty;       /* of a search */
    int beams, n_texts;          /* texts that it follows; that are told */
    struct search *search;       /* NULL: one token after the other is chosen, and one text is made */
    struct generate_text *texts; /* [n_texts] of a search, best first; n_told of them are there */
    int n_told;
    struct generate_step *steps;  /* generate.c's: two that take turns */
    int turn;                     /* which of them is the last */
    const struct encoder *writer; /* NULL: job->generation is all that is wanted */
    int64_t fed;                  /* tokens that the network has been given */
};

/* Bodies of Triton's generate extension, whose members may lie in "parameters" as well, and of OpenAI's completions,
 * whose words they share. Makes job->generation. */
extern const struct codec generate_codec;

/* The same for a text that came by itself; it stays as long as the job. Any thread. */
bool generate_read(struct job *job, struct bytes text, struct percept_err *err);

/* job->begin of a request. When it is done, job->generation has the text, or job->err why not. Where
 * its maker named an encoder, that writes the reply of it. */
void generate_begin(struct job *job);

/* Gives back what its steps hold; once the job is done. */
void generate_end(struct job *job);

/* Is the model one that generates, and does its network fit? False with a sentence (CONFIG). */
bool generate_fits(const struct served *served, struct percept_err *err);

#endif
