/*
 * sound_stream.h - a posted sound that is heard window by window, each going on where the one before left the network;
 * and one that comes in pieces, whose windows and states go on from piece to piece.
 *
 *     piece -> its turn in the sequence -> samples behind what is left of the piece before -> windows
 *           -> step -> step -> ... one after the other -> their answers, as if they were items of one request
 *
 * The request is a parent (job.h), each window a child in the model's lane, so that the steps of many sounds share
 * batches. A model is one of these where its only input is a sound of windows (states.h): always where it keeps states,
 * and for a request with a sequence's id. A piece that fails has not happened. Samples without a head may be cut
 * anywhere, within a sample too; other formats are a whole file each. Pieces have the network's rate; a sound that
 * comes whole may have any.
 */
#ifndef SERVE_SOUND_STREAM_H
#define SERVE_SOUND_STREAM_H

#include "serve/job.h"
#include "serve/speech.h"

/* Is it such a request? Then it is a parent from now on. Before lifecycle_start where it has an id; for others the
 * codec asks. */
bool sound_stream_take(struct job *job);

/* For codec_audio.c, instead of its own way; on any thread. */
bool sound_stream_decode(struct job *job, struct percept_err *err);

/* What is known of speech behind the last piece, to be brought forward by whoever reads the scores; and whether the
 * sound ends with this piece. */
struct speech *sound_stream_speech(const struct job *job, bool *ends);

#endif
