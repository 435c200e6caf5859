/*
 * triton_config.h - a model's config.pbtxt, as Triton's repositories have it: ModelConfig in protobuf's text format
 * (triton-inference-server/common, protobuf/model_config.proto). triton_config.def has a row per field with what is
 * done with it; docs/migrating.md tells users.
 *
 *     const struct manifest *manifest = triton_config_read("models/m/config.pbtxt", "models/m", &arena, &err);
 */
#ifndef SERVE_TRITON_CONFIG_H
#define SERVE_TRITON_CONFIG_H

#include "base/bytes.h"
#include "serve/manifest.h"

/* A manifest of what the file at `path` says, and over it of FOLDER/manifest.json where there is one (NULL folder:
 * none). Everything goes into the arena; files of labels are read from beneath the file's folder only. NULL with the
 * path, the line and the field: it cannot be read or says what makes no sense (CONFIG), or it asks for what would
 * change answers and is not served (UNSUPPORTED). */
const struct manifest *triton_config_read(const char *path, const char *folder, struct arena *arena,
                                          struct percept_err *err);

/* The same of a text, which is said to come from `path`; labels are not read, and no manifest.json over it. */
struct manifest *triton_config_parse(struct bytes text, const char *path, struct arena *arena, struct percept_err *err);

/* What a field of a ModelConfig that comes with a request to load does (override.h). */
enum triton_sent { SENT_NOTHING, SENT_REFUSED, SENT_NAME, SENT_BATCH_SIZE, SENT_BATCHING, SENT_QUEUE_DELAY };

/* False: the message has no such field. */
bool triton_config_sent(const char *message, struct bytes field, enum triton_sent *sent);

/* The known fields, for tests and documents: those of the i-th row, false at the end. `served` is false where the field
 * makes a model unavailable. */
bool triton_config_row(int i, const char **message, const char **field, bool *served);

#endif
