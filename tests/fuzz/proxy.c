/* proxy.c - any bytes as a proxy's header: the verdict does not depend on where they are cut, and a header that was
 * taken is taken again by itself. The first byte says where. */
#include "http/proxy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct proxy whole = {0}, split = {0}, again = {0};
    if (n < 2)
        return 0;
    const size_t at = data[0] % (n - 1);
    data++;
    n--;
    const size_t taken = proxy_take(&whole, data, n);
    const size_t first = proxy_take(&split, data, at);
    const size_t second = proxy_take(&split, data + at, n - at);
    if (taken > n || whole.state != split.state || (first == at && first + second != taken) ||
        memcmp(&whole.from, &split.from, sizeof whole.from) != 0 ||
        (whole.state != PROXY_DONE && whole.from.family != AF_UNSPEC))
        abort();
    if (whole.state == PROXY_DONE && (proxy_take(&again, data, taken) != taken || again.state != PROXY_DONE))
        abort();
    return 0;
}
