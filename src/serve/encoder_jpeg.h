/*
 * encoder_jpeg.h - pixels -> a JPEG's bytes. Threads: any, one at a time for a writer.
 */
#ifndef SERVE_ENCODER_JPEG_H
#define SERVE_ENCODER_JPEG_H

#include "serve/picture.h"
#include "serve/writer.h"

/* Behind what the writer has. False, and a sentence, when memory is short or the watch is over. */
bool encoder_jpeg_write(struct writer *w, const struct picture *picture, struct percept_err *err);

#endif
