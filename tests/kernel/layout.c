/*
 * layout.c - pictures into blocks of channels and back, on every level that this CPU runs.
 */
#include "fixture.h"

START_TEST(block_and_unblock_are_inverse)
{
    begin(_i);
    const int64_t channels[] = {1, 3, level->width - 1, level->width, level->width + 1, 2 * level->width, 58};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (int64_t pixels = 0; pixels < 40; pixels += 1 + pixels / 4) {
            const int64_t n = channels[i] * pixels;
            const float *plain = guarded_hostile(n, 9);
            float *blocked = guarded(blocked_floats(channels[i], pixels)), *again = guarded(n);
            const float *want = to_blocks(plain, channels[i], pixels);
            level->layout->block(blocked, plain, channels[i], pixels);
            const int64_t w = level->width;
            for (int64_t k = 0; k < n; k++) {
                const int64_t c = k / pixels, at = (c / w * pixels + k % pixels) * w + c % w;
                FAIL_UNLESS(same_bits(blocked + at, want + at, 1), "block %ld x %ld", (long)channels[i], (long)pixels);
            }
            level->layout->unblock(again, want, channels[i], pixels);
            FAIL_UNLESS(same_bits(again, plain, n), "unblock %ld x %ld", (long)channels[i], (long)pixels);
            release();
        }
}
END_TEST

Suite *kernel_layout_suite(void);

Suite *kernel_layout_suite(void)
{
    Suite *suite = suite_create("kernel/layout");
    fixture_add(suite, "block_and_unblock_are_inverse", block_and_unblock_are_inverse);
    return suite;
}
