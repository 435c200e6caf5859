/*
 * form.h - in which form `perceptd run` gives a result, what its file is called, and how it is printed. Forms are the
 * daemon's replies (serve/encoder.h).
 *
 * Threads: any.
 */
#ifndef COMMAND_FORM_H
#define COMMAND_FORM_H

#include "http/text.h"
#include "options.h"
#include "serve/encoder.h"

enum form_print { FORM_LINES, FORM_JSON, FORM_CSV };

/* What is wanted of all files. */
struct form {
    const struct encoder *encoder;
    bool chosen;        /* somebody said it: by --json, --csv, a file's name */
    bool folder;        /* results are files beneath options->output */
    const char *output; /* NULL: they are printed */
    enum form_print print;
    bool titled; /* there are several files: say which */
};

/* By the options, the model, and whether there are several files or folders (`many`). False with what there is (CONFIG)
 * where the model has no such form. */
bool form_choose(struct form *form, const struct options *options, const struct served *served, bool many,
                 struct percept_err *err);

/* The form of the result of a file that is called `name`: where a picture is made of one, its own if possible. */
const struct encoder *form_of(const struct form *form, const struct served *served, const char *name);

/* Where that result goes, in the arena: the name, and the form's behind it where it is not the name's own; NULL when
 * memory is short. */
const char *form_path(const struct form *form, const struct encoder *encoder, const char *name, struct arena *arena);

/* What is printed of a reply, or of a failure (JSON only). `first`: nothing was printed yet. */
void form_print(struct text *text, const struct form *form, const char *path, struct bytes reply, bool first);
void form_print_failure(struct text *text, const struct form *form, const char *path, const struct percept_err *err);

#endif
