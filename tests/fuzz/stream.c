/* stream.c - any bytes as a connection's: the verdict does not depend on where they are cut, and
 * what passes are whole requests, which pass again by themselves. The first byte says where. */
#include "http/stream.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct stream whole = {0}, split = {0}, again = {0};
    if (n < 2)
        return 0;
    size_t at = data[0] % (n - 1);
    data++;
    n--;
    size_t passed = stream_judge(&whole, data, n);
    size_t first = stream_judge(&split, data, at);
    if (!split.fault)
        stream_judge(&split, data + at, n - at);
    if (passed > n || first > at || whole.fault != split.fault || (!whole.fault && whole.state != split.state))
        abort();
    if (stream_judge(&again, data, passed) != passed || again.fault)
        abort();
    return 0;
}
