/* inflate.c - any bytes as a compressed body: no more comes out than the limits allow, it is the same whoever asks
 * twice, and what came out goes through deflating and back. The first byte chooses the limit. */
#include "serve/coding.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void round_trip(struct bytes plain, enum coding coding)
{
    struct arena arena = {0};
    struct bytes deflated, again;
    if (coding_deflate(coding, plain, &arena, NULL, &deflated) &&
        bytes_size(plain) < CODING_RATIO * bytes_size(deflated) &&
        (!coding_inflate(deflated, bytes_size(plain), &arena, NULL, &again, NULL) || !bytes_equal(again, plain)))
        abort();
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct arena arena = {0};
    struct bytes body = bytes_of(data + 1, n - 1), once, twice;
    size_t most = (size_t)1 << data[0] % 26;
    bool good = coding_inflate(body, most, &arena, NULL, &once, NULL);
    if (good != coding_inflate(body, most, &arena, NULL, &twice, NULL))
        abort();
    if (good) {
        if (!bytes_equal(once, twice) || bytes_size(once) > most)
            abort();
        round_trip(once, data[0] & 0x80 ? CODING_GZIP : CODING_DEFLATE);
    }
    arena_free(&arena);
    return 0;
}
