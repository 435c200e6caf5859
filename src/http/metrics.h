/* metrics.h - the families of GET /metrics, for documents: one call per row, "name type help". */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

void metrics_print(void (*line)(void *user, const char *text), void *user);

#endif
