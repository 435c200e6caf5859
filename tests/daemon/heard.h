/*
 * heard.h - networks that hear a sound window by window, and the sound that they hear.
 *
 * "sum" adds a window's samples to its state and answers with it: what is answered tells which samples were heard, and
 * how often. "loud" keeps nothing and answers a window's mean. The sound is the whole numbers 1, 2, 3 ...
 */
#ifndef TESTS_DAEMON_HEARD_H
#define TESTS_DAEMON_HEARD_H

#include "rig.h"

#define HEARD_WINDOW 4
#define HEARD_N 23 /* samples of the sound */

/* Parts of manifests: windows of four samples every three, one before each, zeros behind. */
#define HEARD_SOUND                                                                                                    \
    "\"inputs\":{\"x\":{\"kind\":\"audio\",\"rate\":8000,\"range\":32768,\"window\":4,\"hop\":3,\"context\":1,"        \
    "\"pad\":true}}"
#define HEARD_SEQUENCE "\"sequence\":{\"state\":[{\"input\":\"h\",\"output\":\"hn\"}]}"
#define HEARD_RAW "Content-Type: audio/x-raw;format=S16LE;rate=8000\r\n"

/* y = hn = h + sum of x, [N,5] */
void heard_write_sum(const struct rig *rig, const char *name, const char *manifest);

/* y = the mean of x, [N,1,4] */
void heard_write_loud(const struct rig *rig, const char *manifest);

/* The sound, and what "sum" says to it, by hand; returns how many windows there are. */
void heard_record(uint8_t bytes[2 * HEARD_N]);
int heard_sums(float to[HEARD_N]);

#endif
