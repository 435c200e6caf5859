/* frames.c - where pictures of a video end, however its bytes arrive, and whatever lies between them. */
#include "serve/frames.h"

#include "base/budget.h"
#include "base/err.h"

#include <check.h>
#include <stdio.h>

Suite *serve_frames_suite(void);

#define MOST 128

/* Pictures as small as JPEG's grammar has them; P1 has a thumbnail with an end of its own, stuffed bytes, a restart and
 * a second scan. */
#define P0 "\xff\xd8\xff\xd9"
#define P1                                                                                                             \
    "\xff\xd8\xff\xe1\0\x08" P0 "\x01\x02\xff\xff\xda\0\x03s\x01\xff\0\xff\xd0\x02\xff\xc4\0\x02\xff\xda\0\x02\x03"    \
    "\xff\xd9"
#define D10 "0123456789"
#define OPEN "\xff\xd8\xff\xda\0\x02" D10 D10 D10 D10 D10 D10
#define JUNK "\xff\xd8\xff\xda\0\x02zz"

#define MJPEG "video/x-motion-jpeg"
#define PARTS "multipart/x-mixed-replace; boundary=b"

/* What is expected of each picture: its bytes, or the reason why it is lost behind a '!', with its time behind '@'. */
static const struct {
    const char *type;
    struct bytes video;
    const char *pictures; /* sizes, such as "4 10@1.5 !reason" */
} videos[] = {
#define V(type, video, pictures)                                                                                       \
    {                                                                                                                  \
        type, {(const uint8_t *)(video), (const uint8_t *)(video) + sizeof(video) - 1}, pictures                       \
    }
    V(MJPEG, "", ""),
    V(MJPEG, "nothing \xff\xff\0 here", ""),
    V(MJPEG, P0, "4"),
    V("Video/MJPEG; x=y", P0 P0 P0, "4 4 4"),
    V("image/jpeg", P1, "35"),
    V(MJPEG, P1 P0 P1, "35 4 35"),
    V(MJPEG, "junk" P0 "\r\n\xff" P1 "\xff\xff" P0 "\xff", "4 35 4"),
    V(MJPEG, OPEN P0 P0, "!another 4 4"),
    V(MJPEG, OPEN OPEN P0, "!another !another 4"),
    V(MJPEG, P0 OPEN, "4 !ends"),
    V(MJPEG, P0 "\xff\xd8", "4 !ends"),
    V(MJPEG, "\xff\xd8\xff\xe0\0", "!ends"),
    V(MJPEG, "\xff\xd8\xff\xe0\xff\xff" P0, "!ends"),
    V(MJPEG, "\xff\xd8\xff\xe0\0\0" P0, "4"),
    V(MJPEG, JUNK JUNK P0 JUNK, "4 !ends"),
    V(MJPEG, OPEN D10 D10 D10 D10 D10 D10 D10 "\xff\xd9" P0, "!more 4"),
    V(PARTS, "", ""),
    V(PARTS, "--b--\r\n--b\r\n\r\nx\r\n--b", ""),
    V(PARTS, "--b\r\n\r\nabc\r\n--b\r\n\r\nde\r\n--b--\r\n", "3 2"),
    V(PARTS, "before\r\n--b\n\nabc\r\n--b \r\n\r\nde\r\n--b--", "3 2"),
    V(PARTS, "--b\r\ncontent-length: 3\r\nX-Timestamp: 12.25\r\n\r\nabc\r\n--b\r\nX-Timestamp: x\r\n\r\nde",
      "3@12.25 2"),
    V(PARTS, "--b\r\nX-Timestamp: -1\r\n\r\nabc\r\n--b", "3"),
    V(PARTS, "--b\r\nContent-Length: 9\r\n\r\na\r\n--b\r\nx\r\n--b\r\nContent-Length: 1\r\n\r\ny", "9 1"),
    V(PARTS, "--b\r\nContent-Length: 0\r\n\r\n--b\r\n\r\nx\r\n--b", "0 1"),
    V(PARTS, "--b\r\nContent-Length: 9\r\n\r\nabc", "!ends"),
    V(PARTS,
      "--b\r\nContent-Length: 139\r\n\r\n" D10 D10 D10 D10 D10 D10 D10 D10 D10 D10 D10 D10 D10 "012345678"
      "\r\n--b\r\n\r\nx\r\n--b",
      "!more 1"),
    V(PARTS, "--b\r\n\r\na\r\r\n-\r\n--\r\n--cb\r\n--b\r\n\r\n", "15"),
    V(PARTS, "--b\r\nno colon\r\n: x\r\n\r\nx", "1"),
    V(PARTS, "--bx\r\n--b x\r\n--b-\r\n--b\r\n\r\nx\r\n--b", "1"),
    V("multipart/x-mixed-replace;boundary=\"--b\"", "--b\r\n\r\nabc\r\n--b\r\n\r\nde\r\n--b--", "3 2"),
    V("multipart/x-mixed-replace;boundary=\"--b\"", "----b\r\n\r\nabc\r\n----b\r\n\r\nde\r\n----b--", "3 2"),
    V("multipart/x-mixed-replace;boundary=\"-\"", "---\r\n\r\nabc\r\n---\r\n\r\nde\r\n-----", "3 2"),
#undef V
};

static struct arena arena;
static struct percept_err err;
static struct frames frames;
static char told[512];

static void tell(void)
{
    char *at = told + strlen(told);
    const size_t room = sizeof told - strlen(told);
    const char *space = *told ? " " : "", *why = frames.lost;
    if (why)
        snprintf(at, room, "%s!%s", space, strstr(why, "another") ? "another" : strstr(why, "more") ? "more" : "ends");
    else if (frames.has_time)
        snprintf(at, room, "%s%zu@%g", space, frames.n_bytes, frames.time);
    else
        snprintf(at, room, "%s%zu", space, frames.n_bytes);
    ck_assert_uint_le(frames.n_bytes, MOST);
    arena_free(&arena);
    frames_next(&frames, &arena);
}

static void begin(const char *type)
{
    err = (struct percept_err){0};
    *told = '\0';
    ck_assert_msg(frames_start(&frames, bytes_of_text(type), MOST, &err), "%s", err.text);
    frames_next(&frames, &arena);
}

static void feed(struct bytes piece)
{
    while (frames_take(&frames, &piece, &err))
        tell();
    ck_assert_msg(err.code != ERR_NONE || piece.at == piece.end, "bytes are left");
}

static void end(void)
{
    if (frames_end(&frames))
        tell();
    ck_assert(!frames_end(&frames));
    arena_free(&arena);
}

START_TEST(pictures_are_the_same_however_their_bytes_arrive)
{
    const struct bytes video = videos[_i].video;
    for (size_t cut = 0; cut <= bytes_size(video); cut++) {
        begin(videos[_i].type);
        feed(bytes_of(video.at, cut));
        feed(bytes_of(video.at + cut, bytes_size(video) - cut));
        end();
        ck_assert_msg(strcmp(told, videos[_i].pictures) == 0, "video %d cut at %zu: '%s', not '%s'", _i, cut, told,
                      videos[_i].pictures);
    }
    begin(videos[_i].type);
    for (const uint8_t *at = video.at; at < video.end; at++)
        feed(bytes_of(at, 1));
    end();
    ck_assert_str_eq(told, videos[_i].pictures);
}
END_TEST

/* Every ending of a video is one: at most one picture is cut off, and those before it are there. */
START_TEST(a_video_may_stop_at_every_byte)
{
    for (size_t n = 0; n < sizeof(P1 P0 P1) - 1; n++) {
        begin(MJPEG);
        feed(bytes_of(P1 P0 P1, n));
        end();
        const char *expected = n < 2    ? ""
                               : n < 35 ? "!ends"
                               : n < 37 ? "35"
                               : n < 39 ? "35 !ends"
                               : n < 41 ? "35 4"
                                        : "35 4 !ends";
        ck_assert_msg(strcmp(told, expected) == 0, "%zu: %s", n, told);
    }
}
END_TEST

START_TEST(bytes_of_a_picture_are_those_that_came)
{
    struct bytes video = bytes_of("x" P1 P0, sizeof("x" P1 P0) - 1);
    begin(MJPEG);
    ck_assert(frames_take(&frames, &video, &err));
    ck_assert(frames.n_bytes == 35 && memcmp(frames.at, P1, 35) == 0);
    arena_free(&arena);
    video = bytes_of("--b\r\n\r\n\r\r\n--\r\n\r\n--b", 19);
    begin(PARTS);
    ck_assert(frames_take(&frames, &video, &err));
    ck_assert(frames.n_bytes == 7 && memcmp(frames.at, "\r\r\n--\r\n", 7) == 0);
    arena_free(&arena);
}
END_TEST

START_TEST(a_video_that_never_ends_keeps_one_picture)
{
    static uint8_t noise[65536];
    uint32_t seed = 1;
    begin(MJPEG);
    for (int round = 0; round < 64; round++) {
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (seed = seed * 1664525 + 1013904223) >> 30 ? (uint8_t)(seed >> 24) : 0xff;
        struct bytes piece = bytes_of(noise, sizeof noise);
        while (frames_take(&frames, &piece, &err)) {
            arena_free(&arena);
            frames_next(&frames, &arena);
        }
        ck_assert_uint_le(arena.used_bytes, 4 * MOST);
        ck_assert_int_eq(err.code, ERR_NONE);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(a_picture_without_memory_is_lost_and_the_next_is_not)
{
    struct percept_budget budget = {.limit_bytes = 1};
    arena.budget = &budget;
    begin(MJPEG);
    struct bytes video = bytes_of(P1 P0, sizeof(P1 P0) - 1);
    ck_assert(frames_take(&frames, &video, &err));
    ck_assert_str_eq(frames.lost, "memory is short for it");
    arena_free(&arena);
    arena.budget = NULL;
    frames_next(&frames, &arena);
    ck_assert(frames_take(&frames, &video, &err));
    ck_assert(!frames.lost && frames.n_bytes == 4);
    arena_free(&arena);
}
END_TEST

#define LINES "a: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\n"

static const struct {
    const char *type, *video, *part;
} refused[] = {
    {"multipart/x-mixed-replace", "", "needs a boundary"},
    {"multipart/x-mixed-replace; boundary=", "", "needs a boundary"},
    {"multipart/x-mixed-replace; boundary=\"a\x01\"", "", "not printable"},
    {"multipart/x-mixed-replace; boundary=01234567890123456789012345678901234567890123456789012345678901234567890", "",
     "needs a boundary"},
    {PARTS, "--b\r\nContent-Length: 3x\r\n\r\n", "no number: 3x"},
    {PARTS, "--b\r\nContent-Length: -3\r\n\r\n", "no number: -3"},
    {PARTS, "--b\r\nContent-Length:\r\n\r\n", "no number"},
    {PARTS, "--b\r\nContent-Length: 99999999999999999999\r\n\r\n", "no number"},
    {PARTS, "--b\r\n" LINES LINES LINES LINES "a: b\r\n\r\nx", "more than 32 lines"},
};

START_TEST(a_video_that_cannot_be_read_is_refused)
{
    err = (struct percept_err){0};
    if (frames_start(&frames, bytes_of_text(refused[_i].type), MOST, &err)) {
        frames_next(&frames, &arena);
        struct bytes video = bytes_of_text(refused[_i].video);
        ck_assert(!frames_take(&frames, &video, &err));
    }
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_msg(strstr(err.text, refused[_i].part), "%s", err.text);
    arena_free(&arena);
}
END_TEST

START_TEST(types_of_videos_are_known)
{
    ck_assert(frames_is_video(bytes_of_text("video/x-mjpeg")));
    ck_assert(frames_is_video(bytes_of_text("multipart/X-Mixed-Replace ; boundary=x")));
    ck_assert(!frames_is_video(bytes_of_text("video/mp4")));
    ck_assert(!frames_is_video(bytes_of_text("multipart/form-data; boundary=x")));
    ck_assert(!frames_is_video((struct bytes){0}));
}
END_TEST

#define N(table) (int)(sizeof table / sizeof *table)

Suite *serve_frames_suite(void)
{
    Suite *suite = suite_create("serve_frames");
    TCase *tcase = tcase_create("frames");
    tcase_add_loop_test(tcase, pictures_are_the_same_however_their_bytes_arrive, 0, N(videos));
    tcase_add_test(tcase, a_video_may_stop_at_every_byte);
    tcase_add_test(tcase, bytes_of_a_picture_are_those_that_came);
    tcase_add_test(tcase, a_video_that_never_ends_keeps_one_picture);
    tcase_add_test(tcase, a_picture_without_memory_is_lost_and_the_next_is_not);
    tcase_add_loop_test(tcase, a_video_that_cannot_be_read_is_refused, 0, N(refused));
    tcase_add_test(tcase, types_of_videos_are_known);
    suite_add_tcase(suite, tcase);
    return suite;
}
