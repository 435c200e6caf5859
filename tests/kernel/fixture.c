/* fixture.c - see fixture.h */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_LEVELS = 8 };

const struct kernels *level;
uint64_t seed;

static const struct kernels *levels[MAX_LEVELS];
static int n_levels;
static uint64_t state;

/* Which levels there are, once per program. */
static void find_levels(void)
{
    if (n_levels)
        return;
    for (const struct kernels *const *any = pick_all(); *any && n_levels < MAX_LEVELS; any++)
        if (pick_runs(*any))
            levels[n_levels++] = *any;
        else
            printf("not run: level %s\n", (*any)->name);
}

void fixture_add(Suite *suite, const char *name, const TTest *test)
{
    find_levels();
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, test, 0, n_levels);
    suite_add_tcase(suite, tcase);
}

void begin(int index)
{
    level = levels[index];
    const char *text = getenv("SEED");
    seed = text ? strtoull(text, NULL, 10) : 20240229;
    state = seed * 2654435769u + 88172645463325252u;
}

uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)(draw() % (uint64_t)(high - low + 1));
}

float number(void)
{
    return (float)(draw() >> 40) / 8388608.0f - 1.0f;
}

bool chance(int one_in)
{
    return between(1, one_in) == 1;
}

float any_float(void)
{
    static const float special[] = {0.0f,    -0.0f,      1.0f,     -1.0f,      0.5f,       -0.5f,       1.5f,
                                    2.5f,    -2.5f,      INFINITY, -INFINITY,  NAN,        1e-40f,      -1e-40f,
                                    1e-45f,  3.4e38f,    -3.4e38f, 88.7f,      89.0f,      -87.3f,      -88.0f,
                                    -103.0f, -104.0f,    -150.0f,  8388608.0f, 8388607.5f, -8388607.5f, 4194304.5f,
                                    0.625f,  0.9999999f, 9000.0f};
    if (chance(8))
        return special[between(0, (int64_t)(sizeof special / sizeof *special) - 1)];
    return number() * ldexpf(1, (int)between(-30, 14));
}

struct guard {
    char *at;
    char *map, *end; /* end: the unreadable page; mappings are kept for the next buffer */
    size_t bytes;
    bool used;
};

#define MAX_GUARDS 512
static struct guard guards[MAX_GUARDS];
static int n_guards;

static struct guard *guard_of(size_t bytes)
{
    for (int i = 0; i < n_guards; i++) {
        const size_t room = (size_t)(guards[i].end - guards[i].map);
        if (!guards[i].used && room >= bytes && room / 8 < bytes + 4096)
            return &guards[i];
    }
    ck_assert_int_lt(n_guards, MAX_GUARDS);
    struct guard *guard = &guards[n_guards++];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (2 * bytes + page - 1) / page * page;
    guard->map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(guard->map, MAP_FAILED);
    guard->end = guard->map + room;
    ck_assert_int_eq(mprotect(guard->end, page, PROT_NONE), 0);
    return guard;
}

void *guarded_bytes(int64_t n)
{
    const size_t bytes = (size_t)n;
    struct guard *guard = guard_of(bytes + 2 * SLACK);
    guard->bytes = bytes;
    guard->used = true;
    guard->at = guard->end - SLACK - bytes;
    memset(guard->at - SLACK, 0xff, bytes + 2 * SLACK);
    return guard->at;
}

float *guarded(int64_t n)
{
    return guarded_bytes(n * (int64_t)sizeof(float));
}

float *guarded_numbers(int64_t n)
{
    float *x = guarded(n);
    for (int64_t i = 0; i < n; i++)
        x[i] = number();
    return x;
}

float *guarded_hostile(int64_t n, int one_in)
{
    static const float special[] = {INFINITY, -INFINITY, NAN, -0.0f, 1e-40f, -1e-45f, 0};
    float *x = guarded_numbers(n);
    for (int64_t i = 0; i < n; i++)
        if (chance(one_in))
            x[i] = special[between(0, (int64_t)(sizeof special / sizeof *special) - 1)];
    return x;
}

const float *guarded_copy(const float *x, int64_t n)
{
    return memcpy(guarded(n), x, (size_t)n * sizeof *x);
}

void release(void)
{
    for (int i = 0; i < n_guards; i++) {
        if (!guards[i].used)
            continue;
        guards[i].used = false;
        const unsigned char *before = (const unsigned char *)guards[i].at - SLACK;
        const unsigned char *after = (const unsigned char *)guards[i].at + guards[i].bytes;
        for (int k = 0; k < SLACK; k++)
            FAIL_UNLESS(before[k] == 0xff && after[k] == 0xff,
                        "wrote outside of %zu bytes, %d bytes after them or %d before", guards[i].bytes, k, SLACK - k);
    }
}

bool near(double got, double want, double tolerance)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (isinf(want) || isinf(got))
        return got == want;
    return fabs(got - want) <= tolerance;
}

double ulp(double x)
{
    const float size = (float)fabs(x);
    if (!(size < 3.4028234e38f))
        return ldexp(1, 104);
    return size < 1.17549435e-38f ? ldexp(1, -149) : ldexp(1, ilogbf(size) - 23);
}

bool same_bits(const float *a, const float *b, int64_t n)
{
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

struct epilogue draw_epilogue(const float *bias, const float *residual)
{
    struct epilogue epilogue = {.bias = chance(2) ? bias : NULL,
                                .residual = chance(2) ? residual : NULL,
                                .act = (enum activation)between(0, ACT_COUNT - 1),
                                .alpha = 0.2f,
                                .beta = 0.5f};
    return epilogue;
}

bool same_number(float a, float b)
{
    return (isnan(a) && isnan(b)) || same_bits(&a, &b, 1);
}

double activated_slack(double want, double terms, double size)
{
    return (isfinite(size) ? 1.5 * (terms + 4) * EPS * size : 0) + 8 * ulp(want);
}

double activated(const struct epilogue *epilogue, double x)
{
    return reference_activate(epilogue->act, x, (double)epilogue->alpha, (double)epilogue->beta);
}

int64_t volume(const int64_t dims[3])
{
    return dims[0] * dims[1] * dims[2];
}

int64_t blocked_floats(int64_t channels, int64_t pixels)
{
    return (channels + level->width - 1) / level->width * level->width * pixels;
}

float *to_blocks(const float *plain, int64_t channels, int64_t pixels)
{
    const int64_t w = level->width;
    float *blocked = guarded(blocked_floats(channels, pixels));
    for (int64_t c = 0; plain && c < channels; c++)
        for (int64_t p = 0; p < pixels; p++)
            blocked[(c / w * pixels + p) * w + c % w] = plain[c * pixels + p];
    return blocked;
}
