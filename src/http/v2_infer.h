/* v2_infer.h - what requests to infer share, whatever their body is. Thread: the loop's. */
#ifndef HTTP_V2_INFER_H
#define HTTP_V2_INFER_H

#include "http/exchange.h"

/* What the head says of how the answer is wished: its time, outputs, masks; into the job. */
bool v2_infer_read_wishes(const struct exchange *exchange, struct job *job, struct percept_err *err);

#endif
