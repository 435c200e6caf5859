/* starve.h - what a test and the preloaded library say to each other; see starve.c. */
#ifndef TESTS_STARVE_STARVE_H
#define TESTS_STARVE_STARVE_H

struct starve_order {
    long nth;          /* the allocation that fails, from 1; 0: nothing is counted */
    long seen;         /* allocations since the test set this to 0 */
    long failed;       /* of them */
    long from_then_on; /* not 0: every later one fails as well */
};

#endif
