/*
 * stream.h - judges the bytes of a connection before microhttpd reads them. Its 0.9.75 takes a bare
 * line feed for a line's end, NUL bytes in lines, headers that are folded over several lines, and
 * chunk sizes that others read in another way; and it answers a length that is no number twice.
 * Behind a proxy that is how requests are smuggled, and what it made of them cannot be told any
 * more when it hands them over. So every byte of a head (RFC 9112, 2 to 5) and of the lines between
 * chunks (7.1) passes here; bodies are counted.
 *
 *     struct stream stream = {0};
 *     size_t n = stream_judge(&stream, bytes, n_bytes);
 *     if (stream.fault) ... the first n bytes are whole requests before the bad one, or nothing
 *
 * Bytes come in pieces of any size. A pure function of them; owns nothing, any thread.
 */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_WORD 19 /* two bytes more than the longest word that is compared */

struct stream {
    const char *fault; /* the first thing wrong, as a sentence; it stays */
    int state;
    bool http_1_0, chunked, has_length, trailer;
    bool http_2;            /* the fault is that it speaks HTTP/2 from its first byte on, as gRPC does */
    bool is_pri;            /* the method is that of its preface */
    char word[STREAM_WORD]; /* lower case: a header's name, the version, a transfer encoding */
    uint8_t n_word;
    uint8_t n_digits;
    uint8_t header;                   /* whose value is read */
    uint64_t length;                  /* of the body, or of the chunk: what is left of it */
    uint64_t head_bytes, extra_bytes; /* what microhttpd needs for the head; for parts of it again */
    uint64_t n_heads;
};

size_t stream_judge(struct stream *stream, const void *bytes, size_t n_bytes);

#endif
