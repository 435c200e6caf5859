/*
 * base64.c - four characters at a time. Bits behind the last byte have to be 0, so that no two texts stand for the same
 * bytes. Thread: any.
 */
#include "base/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 0 to 63, or -1. */
static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_read(struct bytes text, uint8_t *to, size_t *n)
{
    uint32_t bits = 0;
    int n_bits = 0;
    *n = 0;
    if (bytes_size(text) % 4 != 0)
        return false;
    for (int i = 0; i < 2 && bytes_size(text) && text.end[-1] == '='; i++)
        text.end--;
    for (const uint8_t *at = text.at; at < text.end; at++) {
        int value = value_of(*at);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits < 8)
            continue;
        n_bits -= 8;
        to[(*n)++] = (uint8_t)(bits >> n_bits);
        bits &= (1U << n_bits) - 1;
    }
    return n_bits < 6 && bits == 0;
}

size_t base64_write(char *to, struct bytes bytes)
{
    size_t used = 0;
    for (const uint8_t *at = bytes.at; at < bytes.end; at += 3) {
        size_t n = bytes.end - at < 3 ? (size_t)(bytes.end - at) : 3;
        uint32_t bits = (uint32_t)at[0] << 16 | (n > 1 ? (uint32_t)at[1] << 8 : 0) | (n > 2 ? at[2] : 0);
        for (size_t i = 0; i < 4; i++)
            to[used++] = i <= n ? letters[bits >> (18 - 6 * i) & 63] : '=';
        if (n < 3)
            break;
    }
    return used;
}
