/* search.c - what a search takes before it begins. Its rounds are played by tests/daemon/translating.c. */
#include "serve/search.h"

#include <check.h>

Suite *serve_search_suite(void);

START_TEST(a_search_has_two_steps_for_each_text_that_it_follows)
{
    struct arena arena = {0};
    struct job parent = {.arena = &arena};
    struct search search = {.beam = {.width = 3, .most = 5}, .parent = &parent};
    ck_assert(search_reserve(&search, NULL));
    ck_assert(search.beam.n_live == 1 && search.beam.live[0].node == -1 && search.beam.nodes);
    for (int i = 0; i < 6; i++)
        ck_assert_ptr_nonnull(arena_alloc(&search.steps[i].arena, 10)); /* what a step holds is given back */
    search_end(&search);
    for (int i = 0; i < 6; i++)
        ck_assert_ptr_null(search.steps[i].job.arena);
    search_end(NULL);
    search_end(&(struct search){.beam.width = 3}); /* of which nothing was reserved */
    arena_free(&arena);
}
END_TEST

Suite *serve_search_suite(void)
{
    Suite *suite = suite_create("serve_search");
    TCase *tcase = tcase_create("search");
    tcase_add_test(tcase, a_search_has_two_steps_for_each_text_that_it_follows);
    suite_add_tcase(suite, tcase);
    return suite;
}
