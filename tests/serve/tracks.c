/* tracks.c - numbers of boxes over frames. */
#include "serve/tracks.h"

#include <check.h>

Suite *serve_tracks_suite(void);

static struct tracks tracks;

/* A box of 10 by 10 at x, of a class. */
static int64_t follow(float x, int index)
{
    const struct box box = {.left = x, .top = 0, .right = x + 10, .bottom = 10, .index = index};
    int64_t number;
    tracks_follow(&tracks, &box, 1, &number);
    return number;
}

static void rest(int frames)
{
    for (int i = 0; i < frames; i++)
        tracks_follow(&tracks, NULL, 0, NULL);
}

START_TEST(what_moves_a_little_keeps_its_number)
{
    tracks = (struct tracks){0};
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(follow((float)i * 5, 3), 1); /* a third in common */
    ck_assert_int_eq(follow(19 * 5 + 6, 3), 2);       /* a quarter */
    ck_assert_int_eq(follow(19 * 5 + 6, 4), 3);       /* another class */
}
END_TEST

START_TEST(the_track_that_is_overlapped_most_is_taken_once)
{
    const struct box two[] = {{.left = 0, .top = 0, .right = 10, .bottom = 10},
                              {.left = 6, .top = 0, .right = 16, .bottom = 10}};
    const struct box three[] = {{.left = 5, .top = 0, .right = 15, .bottom = 10},
                                {.left = 4, .top = 0, .right = 14, .bottom = 10},
                                {.left = 5, .top = 0, .right = 15, .bottom = 10}};
    int64_t numbers[3];
    tracks = (struct tracks){0};
    tracks_follow(&tracks, two, 2, numbers);
    ck_assert(numbers[0] == 1 && numbers[1] == 2);
    tracks_follow(&tracks, three, 3, numbers);
    ck_assert(numbers[0] == 2 && numbers[1] == 1 && numbers[2] == 3);
}
END_TEST

START_TEST(a_track_that_rests_too_long_ends)
{
    tracks = (struct tracks){0};
    ck_assert_int_eq(follow(0, 0), 1);
    rest(TRACKS_REST - 1);
    ck_assert_int_eq(follow(0, 0), 1);
    rest(TRACKS_REST);
    ck_assert_int_eq(follow(0, 0), 2);
    ck_assert_int_eq(tracks.n, 1);
}
END_TEST

/* 64 boxes a frame, none near another: the oldest make way, and every number is new. */
START_TEST(there_are_never_more_tracks_than_there_is_room_for)
{
    struct box boxes[TRACKS_BOXES];
    int64_t numbers[TRACKS_BOXES];
    tracks = (struct tracks){0};
    for (int frame = 0; frame < 10; frame++) {
        for (int i = 0; i < TRACKS_BOXES; i++) {
            const float x = (float)(frame * TRACKS_BOXES + i) * 20;
            boxes[i] = (struct box){.left = x, .top = 0, .right = x + 10, .bottom = 10};
        }
        tracks_follow(&tracks, boxes, TRACKS_BOXES, numbers);
        for (int i = 0; i < TRACKS_BOXES; i++)
            ck_assert_int_eq(numbers[i], frame * TRACKS_BOXES + i + 1);
    }
    ck_assert_int_eq(tracks.n, TRACKS_MAX);
    tracks_follow(&tracks, boxes, TRACKS_BOXES, numbers); /* the last frame's are still known */
    ck_assert_int_eq(numbers[0], 9 * TRACKS_BOXES + 1);
}
END_TEST

Suite *serve_tracks_suite(void)
{
    Suite *suite = suite_create("serve_tracks");
    TCase *tcase = tcase_create("tracks");
    tcase_add_test(tcase, what_moves_a_little_keeps_its_number);
    tcase_add_test(tcase, the_track_that_is_overlapped_most_is_taken_once);
    tcase_add_test(tcase, a_track_that_rests_too_long_ends);
    tcase_add_test(tcase, there_are_never_more_tracks_than_there_is_room_for);
    suite_add_tcase(suite, tcase);
    return suite;
}
