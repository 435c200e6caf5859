/*
 * foreign.h - what a file is that was given for another: told by its first bytes.
 *
 *     const struct foreign *kind = foreign_find(file);
 *     if (kind)
 *         err_set(err, ERR_MODEL, "this is no ONNX model but %s: %s", kind->what, kind->remedy);
 *
 * Ask after reading has failed: a file may begin like another kind and be what was wanted. Constant
 * tables, any thread.
 */
#ifndef BASE_FOREIGN_H
#define BASE_FOREIGN_H

#include "base/bytes.h"

struct foreign {
    const char *what;   /* "a PNG picture" */
    const char *remedy; /* "name the .onnx file" */
};

/* The kind of the whole file, or of its first bytes; NULL when it is not known. */
const struct foreign *foreign_find(struct bytes file);

/* A Git LFS pointer, which has fewer bytes than this, or NULL. Never a file that anybody means. */
#define FOREIGN_POINTER_MAX 1024
const struct foreign *foreign_pointer(struct bytes file);

#endif
