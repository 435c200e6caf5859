/*
 * light.h - whole networks: ONNX's "light" models with weights from a fixed seed, both engines.
 */
#ifndef DIFFERENTIAL_LIGHT_H
#define DIFFERENTIAL_LIGHT_H

#include <stdbool.h>

/* Every light_*.onnx of `folder`: filled models go to `work`. Counts into *passed and *failed. */
void light_run(const char *folder, const char *work, const char *script, int *passed, int *failed);

#endif
