/*
 * v2_video.h - videos as bodies of requests to infer; their limits. exchange.c knows them by routes.h.
 *
 * Thread: the loop's.
 */
#ifndef HTTP_V2_VIDEO_H
#define HTTP_V2_VIDEO_H

#include "http/exchange.h"

#define V2_VIDEO_FRAMES 8                     /* under way at a time */
#define V2_VIDEO_READERS 16                   /* of one video */
#define V2_VIDEO_LIVE_BYTES ((size_t)4 << 20) /* that a reader has not taken; then frames are left out */

/* Ends the replies of readers that nothing came for, for as long as a body may take. */
void v2_video_tick(struct site *site, int64_t now_ns);

#endif
