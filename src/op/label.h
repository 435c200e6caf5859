/* label.h - what the file calls the columns of a classifier's scores. */
#ifndef OP_LABEL_H
#define OP_LABEL_H

#include "op/op.h"

/* Of a ZipMap that was checked: how many labels it has, 0 for other nodes; and label i as text, in `arena`, NULL
 * when memory is short. */
int label_count(const struct node *node);
const char *label_text(const struct node *node, int i, struct arena *arena);

#endif
