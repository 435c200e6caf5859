/* sha1.c - FIPS 180-4, 6.1, of at most two blocks. */
#include "base/sha1.h"

#include <assert.h>
#include <string.h>

#define BLOCK 64

static uint32_t rotated(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

/* Of round t: its function of three words, with its constant. */
static uint32_t mixed(int t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20)
        return ((b & c) | (~b & d)) + 0x5a827999;
    if (t < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    return t < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc : (b ^ c ^ d) + 0xca62c1d6;
}

static void add_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80], x[5];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 | (uint32_t)block[4 * t + 2] << 8 |
               block[4 * t + 3];
    for (int t = 16; t < 80; t++)
        w[t] = rotated(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    memcpy(x, h, sizeof x);
    for (int t = 0; t < 80; t++) {
        const uint32_t next = rotated(x[0], 5) + mixed(t, x[1], x[2], x[3]) + x[4] + w[t];
        x[4] = x[3];
        x[3] = x[2];
        x[2] = rotated(x[1], 30);
        x[1] = x[0];
        x[0] = next;
    }
    for (int i = 0; i < 5; i++)
        h[i] += x[i];
}

void sha1(struct bytes data, uint8_t digest[SHA1_BYTES])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t blocks[2 * BLOCK] = {0};
    const size_t n = bytes_size(data), n_blocks = n < BLOCK - 8 ? 1 : 2;
    assert(n <= SHA1_MOST);
    if (n)
        memcpy(blocks, data.at, n);
    blocks[n] = 0x80;
    blocks[n_blocks * BLOCK - 2] = (uint8_t)(n >> 5); /* its bits */
    blocks[n_blocks * BLOCK - 1] = (uint8_t)(n << 3);
    for (size_t i = 0; i < n_blocks; i++)
        add_block(h, blocks + i * BLOCK);
    for (int i = 0; i < SHA1_BYTES; i++)
        digest[i] = (uint8_t)(h[i / 4] >> (24 - i % 4 * 8));
}
