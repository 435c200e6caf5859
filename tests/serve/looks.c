/* looks.c - see looks.h. */
#include "looks.h"

#include <check.h>

#include "base/err.h"

static int looks, over_at;

static int64_t now_ns(void)
{
    return ++looks > over_at ? 2 : 0;
}

struct watch looks_until(int over)
{
    looks = 0;
    over_at = over;
    return (struct watch){.deadline_ns = 1, .now_ns = now_ns};
}

int looks_seen(void)
{
    return looks;
}

void looks_end_it(struct watch *watch, bool (*work)(void), const int *code)
{
    *watch = looks_until(LOOKS_ENDLESS);
    ck_assert(work());
    const int n = looks;
    ck_assert_int_ge(n, 1);
    for (int over = 0; over < n; over++) {
        *watch = looks_until(over);
        ck_assert(!work());
        ck_assert_str_eq(err_name(*code), "TIMEOUT");
        ck_assert_int_eq(looks, over + 1);
    }
    static const int cancel = 1;
    *watch = (struct watch){.cancel = &cancel};
    ck_assert(!work());
    ck_assert_str_eq(err_name(*code), "CANCELLED");
}
