/* fit.h - compares a manifest with the model it stands beside; manifest_fits is its public name. */
#ifndef SERVE_FIT_H
#define SERVE_FIT_H

#include "serve/manifest.h"

bool fit_model(const struct manifest *manifest, const struct percept_model *model, struct percept_err *err);

#endif
