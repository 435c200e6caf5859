/* v2_meta.h - what the V2 protocol calls things; shared by the metadata routes and the page. */
#ifndef HTTP_V2_META_H
#define HTTP_V2_META_H

#include "percept.h"

const char *v2_meta_datatype(enum percept_dtype dtype); /* "FP32" */

#endif
