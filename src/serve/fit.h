/* fit.h - compares a manifest with the model it stands beside. */
#ifndef SERVE_FIT_H
#define SERVE_FIT_H

#include "serve/manifest.h"

/* Does it fit the model: inputs and outputs by name, shapes, types, label count? */
bool fit_model(const struct manifest *manifest, const struct percept_model *model, struct percept_err *err);

/* The same of a chain's ends. A sentence does not begin with the manifest's path. */
bool fit_chain(const struct manifest *manifest, const struct percept_io *inputs, int n_inputs,
               const struct percept_io *outputs, int n_outputs, struct percept_err *err);

/* What clients see of a model that the manifest fits: its inputs and outputs with the dims and labels that are
 * declared, in the arena; where none are, the lists stay NULL. */
bool fit_declare(const struct manifest *manifest, const struct percept_model *model, struct arena *arena,
                 const struct percept_io **inputs, const struct percept_io **outputs, struct percept_err *err);

#endif
