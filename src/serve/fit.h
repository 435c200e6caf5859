/* fit.h - compares a manifest with the model it stands beside. */
#ifndef SERVE_FIT_H
#define SERVE_FIT_H

#include "serve/manifest.h"

/* Does it fit the model: inputs and outputs by name, shapes, types, label count? */
bool fit_model(const struct manifest *manifest, const struct percept_model *model, struct percept_err *err);

#endif
