/*
 * families.c - the table of families.def.
 */
#include "differential/families.h"

#define OP(name, first, make, variant) void make(struct example *e);
#define OP_ML(name, first, make, variant) void make(struct example *e);
#define OP_MS(name, first, make, variant) void make(struct example *e);
#include "differential/families.def"
#undef OP
#undef OP_ML
#undef OP_MS

#define OP(name, first, make, variant) {#name, "", first, make, variant},
#define OP_ML(name, first, make, variant) {#name, "ai.onnx.ml", first, make, variant},
#define OP_MS(name, first, make, variant) {#name, "com.microsoft", first, make, variant},
const struct family families[] = {
#include "differential/families.def"
    {NULL, NULL, 0, NULL, 0},
};
