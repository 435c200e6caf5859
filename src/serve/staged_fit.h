/* staged_fit.h - a manifest's stages become a chain that can run (staged.h): what it runs is found, and judged. */
#ifndef SERVE_STAGED_FIT_H
#define SERVE_STAGED_FIT_H

#include "serve/served.h"

/* Makes served->staged and served->depends of the manifest's stages, and judges them as far as that goes without the
 * models; types and shapes are judged by parts->fit, on the loop, when all are READY. False with a sentence (CONFIG). A
 * loader's. */
bool staged_fit_open(struct served *served, struct percept_err *err);

#endif
