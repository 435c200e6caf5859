/*
 * encoder_png.h - pixels -> a PNG's bytes. Threads: any, one at a time for a writer.
 */
#ifndef SERVE_ENCODER_PNG_H
#define SERVE_ENCODER_PNG_H

#include "serve/picture.h"
#include "serve/writer.h"

/* Behind what the writer has. False, and a sentence, when memory is short or the watch is over. */
bool encoder_png_write(struct writer *w, const struct picture *picture, struct percept_err *err);

/* As members of a JSON object: "width", "height", "content_type" and "b64", the PNG as text. */
void encoder_png_write_json(struct writer *w, const struct picture *picture);

#endif
