/*
 * pack.h - all constants of a model into one region: sizes are summed, the region is found or made.
 */
#ifndef ENGINE_PACK_H
#define ENGINE_PACK_H

#include "engine/model.h"

/* What packed bytes depend on is fed in here while the model is read. Opaque, from XXH3. */
struct pack_digest;

/* Of the bytes of a file. They are added piece by piece; content is the digest of all of them. */
struct pack_digest *pack_digest_new(void);
void pack_digest_content(struct pack_digest *digest, struct bytes piece);
void pack_digest_take(const struct pack_digest *digest, uint8_t result[16]);

/* Anything else that packed bytes depend on, with its length. */
void pack_digest_add(struct pack_digest *digest, struct bytes bytes);
void pack_digest_free(struct pack_digest *digest);

/* Finds a region that holds this model packed for this level already, or packs one. Afterwards nothing of
 * the graph points into the file or into model->load. `path` is for people. */
bool pack_model(struct percept_model *model, struct pack_digest *digest, const char *path,
                const struct percept_options *options, struct percept_err *err);

#endif
