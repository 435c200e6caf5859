/* number.c - numbers against the C library's, which is slow and right. */
#include "base/number.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "edge.h"

Suite *base_number_suite(void);

/* check notes every assertion that holds; millions of them take longer than what they test. */
#define EXPECT(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg(__VA_ARGS__);                                                                                 \
    } while (0)

static uint64_t state = 88172645463325252;

static uint64_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static float float_from(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double double_from(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* What is short and plain is read another way where something follows it: to the same bits, up to the same byte. */
static void expect_same_behind(const char *text, size_t n)
{
    char longer[6000];
    float narrow[2] = {7, 7};
    double wide[2] = {7, 7};
    EXPECT(n + 48 < sizeof longer, "%zu bytes", n);
    for (const char *tail = ",] }"; *tail; tail++) {
        memcpy(longer, text, n);
        memset(longer + n, '1', 48);
        longer[n] = *tail;
        const uint8_t *end[] = {
            number_read_float(bytes_of(text, n), &narrow[0]), number_read_float(bytes_of(longer, n + 48), &narrow[1]),
            number_read_double(bytes_of(text, n), &wide[0]), number_read_double(bytes_of(longer, n + 48), &wide[1])};
        for (int i = 0; i < 4; i += 2)
            EXPECT(end[i] ? end[i + 1] && end[i] - (const uint8_t *)text == end[i + 1] - (const uint8_t *)longer
                          : !end[i + 1],
                   "%.*s ends elsewhere", (int)n, text);
        EXPECT(memcmp(&narrow[0], &narrow[1], sizeof *narrow) == 0, "%.*s as a float is %a, not %a", (int)n, text,
               (double)narrow[1], (double)narrow[0]);
        EXPECT(memcmp(&wide[0], &wide[1], sizeof *wide) == 0, "%.*s is %a, not %a", (int)n, text, wide[1], wide[0]);
    }
}

static void expect_float_returns(float value)
{
    char text[NUMBER_TEXT_MAX + 1];
    size_t n = number_write_float(text, value);
    EXPECT(n <= NUMBER_TEXT_MAX, "%zu bytes", n);
    text[n] = '\0';
    float mine;
    const uint8_t *end = number_read_float(bytes_of(text, n), &mine);
    EXPECT(end == (const uint8_t *)text + n, "%s is not read whole", text);
    EXPECT(memcmp(&mine, &value, sizeof value) == 0, "%s is read as %a, not %a", text, (double)mine, (double)value);
    EXPECT(strtof(text, NULL) == value, "%s is not %a", text, (double)value);
    expect_same_behind(text, n);
}

static void expect_double_returns(double value)
{
    char text[NUMBER_TEXT_MAX + 1];
    size_t n = number_write_double(text, value);
    EXPECT(n <= NUMBER_TEXT_MAX, "%zu bytes", n);
    text[n] = '\0';
    double mine;
    EXPECT(number_read_double(bytes_of(text, n), &mine) == (const uint8_t *)text + n, "%s is not read whole", text);
    EXPECT(memcmp(&mine, &value, sizeof value) == 0, "%s is read as %a, not %a", text, mine, value);
    EXPECT(strtod(text, NULL) == value, "%s is not %a", text, value);
    expect_same_behind(text, n);
}

START_TEST(every_4099th_float_comes_back_from_its_text)
{
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 4099)
        if (isfinite(float_from((uint32_t)bits)))
            expect_float_returns(float_from((uint32_t)bits));
    for (int exponent = 0; exponent < 255; exponent++)
        for (int step = -2; step <= 2; step++)
            if (((exponent << 23) + step) >= 0 && ((exponent << 23) + step) < 0x7f800000)
                expect_float_returns(float_from((uint32_t)((exponent << 23) + step)));
}
END_TEST

START_TEST(random_doubles_and_powers_of_two_come_back_from_their_text)
{
    for (int i = 0; i < 200000; i++) {
        double value = double_from(random_bits());
        if (isfinite(value))
            expect_double_returns(value);
        expect_double_returns((double)(random_bits() >> 20) / (double)(1 + random_bits() % 100000));
    }
    for (uint64_t exponent = 0; exponent < 2047; exponent++)
        expect_double_returns(double_from(exponent << 52));
    expect_double_returns(DBL_MIN);
    expect_double_returns(DBL_MAX);
    expect_double_returns(5e-324);
    expect_double_returns(-0.0);
}
END_TEST

/* Significant digits of a text that the writer made. */
static int digits_of(const char *text)
{
    int n = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (n == 0 && *text == '0'))
            continue;
        n++;
        zeros = *text == '0' ? zeros + 1 : 0;
    }
    return n - zeros;
}

START_TEST(no_shorter_text_reads_back_as_the_float)
{
    for (int i = 0; i < 50000; i++) {
        float value = fabsf(float_from((uint32_t)random_bits()));
        if (!isfinite(value) || value == 0)
            continue;
        char mine[NUMBER_TEXT_MAX + 1], text[40];
        mine[number_write_float(mine, value)] = '\0';
        int n = 1;
        for (; n < 9; n++) {
            snprintf(text, sizeof text, "%.*e", n - 1, (double)value);
            if (strtof(text, NULL) == value)
                break;
        }
        EXPECT(digits_of(mine) <= n, "%s is longer than %s", mine, text);
    }
}
END_TEST

static void expect_same_reading(const char *text)
{
    double mine;
    float narrow;
    EXPECT(number_read_double(bytes_of_text(text), &mine) != NULL, "%s is not read", text);
    EXPECT(mine == strtod(text, NULL), "%s is read as %a, not %a", text, mine, strtod(text, NULL));
    EXPECT(number_read_float(bytes_of_text(text), &narrow) != NULL, "%s is not read", text);
    EXPECT(narrow == strtof(text, NULL), "%s is read as %a, not %a", text, (double)narrow, (double)strtof(text, NULL));
    expect_same_behind(text, strlen(text));
}

START_TEST(any_number_of_digits_is_read_as_the_c_library_reads_it)
{
    char text[80];
    for (int i = 0; i < 200000; i++) {
        double value = double_from(random_bits());
        if (!isfinite(value))
            continue;
        snprintf(text, sizeof text, "%.*g", (int)(1 + random_bits() % 25), value);
        expect_same_reading(text);
        snprintf(text, sizeof text, "%.*f", (int)(random_bits() % 20), (double)(random_bits() >> 30) / 1e6);
        expect_same_reading(text);
    }
}
END_TEST

START_TEST(texts_between_two_floats_are_rounded_once)
{
    char text[80];
    for (int i = 0; i < 200000; i++) {
        float low = float_from((uint32_t)random_bits());
        float high = nextafterf(low, (float)INFINITY);
        if (!isfinite(low) || !isfinite(high))
            continue;
        snprintf(text, sizeof text, "%.*g", (int)(12 + random_bits() % 40), ((double)low + (double)high) / 2);
        expect_same_reading(text);
    }
    expect_same_reading("1.00000005960464477539062500000000000000000000000000001");
    expect_same_reading("1.00000005960464477539062500000000000000000000000000000");
    expect_same_reading("9007199254740993");
    expect_same_reading("9007199254740993.00000000000000000000000000000000001");
}
END_TEST

START_TEST(hard_and_extreme_texts_are_read_exactly)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0e99999999999999999999",
        "1e308",
        "1.7976931348623157e308",
        "1e-400",
        "1e400",
        "2.2250738585072011e-308",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1e23",
        "8.41e21",
        "3.4028235677973366e38",
        "3.4028235e38",
        "7.006492321624085e-46",
        "7.0064923216240854e-46",
        "1.4e-45",
        "1e-45",
        "1E+2",
        "1e00000002",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000000000001",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_same_reading(texts[i]);
    static char longest[5000];
    memset(longest, '9', 4999);
    memcpy(longest + 4990, "e-4990", 7);
    expect_same_reading(longest);
    memset(longest, '0', 4999);
    longest[1] = '.';
    memcpy(longest + 4000, "123e3999", 9);
    expect_same_reading(longest);
}
END_TEST

START_TEST(what_is_not_a_json_number_is_refused)
{
    static const char *const texts[] = {"",   "-",   "+1", ".5",  "1.",  "1.e5", "1e",      "1e+",
                                        "e5", "--1", "x",  "nan", "inf", "-NaN", "Infinit", "- 1"};
    double value = 7;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_same_behind(texts[i], strlen(texts[i]));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(number_read_double(bytes_of_text(texts[i]), &value) == NULL, "'%s' was read", texts[i]);
    ck_assert(value == 7);
    const char *text = "012";
    ck_assert_ptr_eq(number_read_double(bytes_of_text(text), &value), (const uint8_t *)text + 1);
}
END_TEST

START_TEST(words_for_nan_and_infinity_go_both_ways)
{
    static const struct {
        const char *text;
        double value;
    } words[] = {{"Infinity", (double)INFINITY}, {"-Infinity", -(double)INFINITY}};
    char text[NUMBER_TEXT_MAX + 1];
    for (size_t i = 0; i < 2; i++) {
        text[number_write_float(text, (float)words[i].value)] = '\0';
        ck_assert_str_eq(text, words[i].text);
        double value;
        ck_assert(number_read_double(bytes_of_text(text), &value) && value == words[i].value);
    }
    text[number_write_double(text, (double)NAN)] = '\0';
    ck_assert_str_eq(text, "NaN");
    float value;
    ck_assert(number_read_float(bytes_of_text(text), &value) && isnan(value));
}
END_TEST

START_TEST(floats_are_printed_as_people_write_them)
{
    static const struct {
        float value;
        const char *text;
    } cases[] = {{0, "0.0"},
                 {-0.0f, "-0.0"},
                 {1, "1.0"},
                 {-2.5f, "-2.5"},
                 {0.1f, "0.1"},
                 {0.001f, "0.001"},
                 {0.0001f, "0.0001"},
                 {0.00001f, "1e-5"},
                 {16777216, "16777216.0"},
                 {1e15f, "1000000000000000.0"},
                 {1e16f, "1e16"},
                 {1.5e-7f, "1.5e-7"},
                 {3.4028235e38f, "3.4028235e38"},
                 {1.4e-45f, "1e-45"},
                 {0.33333334f, "0.33333334"},
                 {123456.79f, "123456.79"}};
    char text[NUMBER_TEXT_MAX + 1];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text[number_write_float(text, cases[i].value)] = '\0';
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

START_TEST(integers_are_read_when_whole_and_in_range)
{
    static const struct {
        const char *text;
        bool fits;
        int64_t value;
    } cases[] = {{"0", true, 0},
                 {"-0", true, 0},
                 {"-0.0", true, 0},
                 {"1.0", true, 1},
                 {"1e2", true, 100},
                 {"1.50e1", true, 15},
                 {"120e-1", true, 12},
                 {"9223372036854775807", true, INT64_MAX},
                 {"-9223372036854775808", true, INT64_MIN},
                 {"9223372036854775808", false, 0},
                 {"-9223372036854775809", false, 0},
                 {"92233720368547758070e-1", true, INT64_MAX},
                 {"0.00000000000000000000000001e26", true, 1},
                 {"1.5", false, 0},
                 {"1e-1", false, 0},
                 {"1e30", false, 0},
                 {"NaN", false, 0},
                 {"0e999", true, 0},
                 {"100000000000000000000", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 77;
        bool fits = number_read_int64(bytes_of_text(cases[i].text), &value) != NULL;
        ck_assert_msg(fits == cases[i].fits, "%s", cases[i].text);
        if (fits)
            ck_assert_int_eq(value, cases[i].value);
        char longer[100];
        int n = snprintf(longer, sizeof longer, "%s,%48s", cases[i].text, "");
        const uint8_t *end = number_read_int64(bytes_of(longer, (size_t)n), &value);
        ck_assert_ptr_eq(end, fits ? (const uint8_t *)longer + strlen(cases[i].text) : NULL);
        ck_assert_int_eq(value, fits ? cases[i].value : 77);
    }
    uint64_t large;
    ck_assert(number_read_uint64(bytes_of_text("18446744073709551615"), &large));
    ck_assert_uint_eq(large, UINT64_MAX);
    ck_assert(!number_read_uint64(bytes_of_text("18446744073709551616"), &large));
    ck_assert(!number_read_uint64(bytes_of_text("-1"), &large));
    ck_assert(number_read_uint64(bytes_of_text("-0"), &large) && large == 0);
}
END_TEST

START_TEST(integers_are_printed_up_to_their_limits)
{
    char text[NUMBER_TEXT_MAX + 1], expected[40];
    for (int shift = 0; shift < 64; shift++)
        for (int less = -1; less <= 1; less++) {
            int64_t value = (int64_t)((UINT64_C(1) << shift) + (uint64_t)less);
            text[number_write_int64(text, value)] = '\0';
            snprintf(expected, sizeof expected, "%lld", (long long)value);
            ck_assert_str_eq(text, expected);
            text[number_write_uint64(text, (uint64_t)value)] = '\0';
            snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
            ck_assert_str_eq(text, expected);
        }
}
END_TEST

START_TEST(sizes_may_have_a_unit)
{
    size_t n;
    ck_assert(number_read_size("4096", &n) && n == 4096);
    ck_assert(number_read_size("64M", &n) && n == 64u << 20);
    ck_assert(number_read_size("1.5G", &n) && n == 1536u << 20);
    ck_assert(number_read_size("2k", &n) && n == 2048);
    static const char *const wrong[] = {"", "M", "-1", "1T", "1MB", "NaN", "1e30", "9999999999G"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!number_read_size(wrong[i], &n), "'%s' was read", wrong[i]);
}
END_TEST

/* DIGITS e EXPONENT as the C library reads it. */
static double value_of_digits(uint64_t digits, int exponent, bool narrow)
{
    char text[40];
    snprintf(text, sizeof text, "%llue%d", (unsigned long long)digits, exponent);
    return narrow ? (double)strtof(text, NULL) : strtod(text, NULL);
}

static long double distance(uint64_t digits, int exponent, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%llue%d", (unsigned long long)digits, exponent);
    return fabsl(strtold(text, NULL) - (long double)value);
}

/* No number with a digit less reads back, and of those with as many none that is nearer does. */
static void expect_shortest_and_nearest(double value, bool narrow)
{
    char text[NUMBER_TEXT_MAX + 1];
    text[narrow ? number_write_float(text, (float)value) : number_write_double(text, value)] = '\0';
    uint64_t digits = 0;
    int exponent = 0;
    const char *at = text;
    for (bool fraction = false; *at && *at != 'e'; at++) {
        fraction |= *at == '.';
        if (*at == '.')
            continue;
        digits = digits * 10 + (uint64_t)(*at - '0');
        exponent -= fraction;
    }
    exponent += *at ? atoi(at + 1) : 0;
    for (; digits % 10 == 0; digits /= 10)
        exponent++;
    EXPECT(value_of_digits(digits, exponent, narrow) == value, "%s is not %a", text, value);
    for (uint64_t up = 0; up < 2 && digits >= 10; up++)
        EXPECT(value_of_digits(digits / 10 + up, exponent + 1, narrow) != value, "%s is too long", text);
    for (int step = -1; step <= 1; step += 2) {
        uint64_t other = digits + (uint64_t)(int64_t)step;
        EXPECT(value_of_digits(other, exponent, narrow) != value ||
                   distance(other, exponent, value) >= distance(digits, exponent, value),
               "%s is not the nearest", text);
    }
}

/* Below a power of two the next number is half as far as above it: what the C library prints is not the shortest. */
START_TEST(texts_are_the_shortest_and_of_these_the_nearest)
{
    for (int exponent = -105; exponent <= 95; exponent++) {
        expect_shortest_and_nearest(ldexp(1, exponent), true);
        if (exponent >= -38)
            expect_shortest_and_nearest(ldexp(1, exponent), false);
    }
    for (int i = 0; i < 60000; i++) {
        float narrow = fabsf(float_from((uint32_t)random_bits()));
        if (narrow > 1e-31f && narrow < 1e28f)
            expect_shortest_and_nearest((double)narrow, true);
        double wide = ldexp((double)(1 + (random_bits() >> 11)), (int)(random_bits() % 140) - 90);
        expect_shortest_and_nearest(wide, false);
    }
    char text[NUMBER_TEXT_MAX + 1];
    text[number_write_float(text, 0x1p-96f)] = '\0';
    ck_assert_str_eq(text, "1.2621775e-29");
    text[number_write_double(text, 0x1p-24)] = '\0';
    ck_assert_str_eq(text, "5.960464477539063e-8");
}
END_TEST

START_TEST(doubles_are_printed_as_people_write_them)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{999999999, "999999999.0"},
                 {1e9, "1000000000.0"},
                 {1000000000.5, "1000000000.5"},
                 {-4294967296.0, "-4294967296.0"},
                 {9007199254740993.0, "9007199254740992.0"},
                 {0.001, "0.001"},
                 {0.00012345, "0.00012345"},
                 {0.000099, "9.9e-5"},
                 {12345678901234567.0, "1.2345678901234568e16"},
                 {1.5e300, "1.5e300"},
                 {-5e-324, "-5e-324"},
                 {1e22, "1e22"},
                 {0.5, "0.5"},
                 {-0.0, "-0.0"}};
    char text[NUMBER_TEXT_MAX + 1];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text[number_write_double(text, cases[i].value)] = '\0';
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

START_TEST(a_number_ends_where_its_grammar_ends)
{
    static const struct {
        const char *text;
        double value;
        size_t n;
    } cases[] = {{"1,2", 1, 1},     {"0x10", 0, 1},     {"00", 0, 1},         {"-0.5]", -0.5, 4}, {"1e5e5", 1e5, 3},
                 {"1.5.5", 1.5, 3}, {"12E-1 ", 1.2, 5}, {"0.0001x", 1e-4, 6}, {"7}", 7, 1},       {"1e+3", 1e3, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value;
        float narrow;
        const uint8_t *start = (const uint8_t *)cases[i].text;
        ck_assert_ptr_eq(number_read_double(bytes_of_text(cases[i].text), &value), start + cases[i].n);
        ck_assert(value == cases[i].value);
        ck_assert_ptr_eq(number_read_float(bytes_of_text(cases[i].text), &narrow), start + cases[i].n);
        ck_assert(narrow == (float)cases[i].value);
        expect_same_behind(cases[i].text, strlen(cases[i].text));
    }
    int64_t whole = 0;
    uint64_t positive = 0;
    const char *text = "-12,";
    ck_assert_ptr_eq(number_read_int64(bytes_of_text(text), &whole), (const uint8_t *)text + 3);
    ck_assert_int_eq(whole, -12);
    ck_assert_ptr_null(number_read_uint64(bytes_of_text(text), &positive));
    ck_assert_ptr_null(number_read_int64(bytes_of_text(""), &whole));
}
END_TEST

/* Bytes behind the end of a text are nobody's: they are neither read nor counted. */
START_TEST(a_text_ends_where_its_bytes_end)
{
    const char *text = "123456789012345678901234567890.5e10";
    struct edge edge = edge_new();
    for (size_t n = 1; n < strlen(text); n++) {
        char cut[40] = {0};
        double value = -1;
        memcpy(cut, text, n);
        const bool whole = text[n - 1] != '.' && text[n - 1] != 'e';
        const struct bytes bytes = edge_bytes(&edge, text, n);
        const uint8_t *end = number_read_double(bytes, &value);
        ck_assert_ptr_eq(end, whole ? bytes.end : NULL);
        ck_assert(value == (whole ? strtod(cut, NULL) : -1));
    }
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < 3; i++)
        for (size_t n = 0; n <= strlen(words[i]); n++) {
            double value;
            float narrow;
            const struct bytes bytes = edge_bytes(&edge, words[i], n);
            const uint8_t *end = n == strlen(words[i]) ? bytes.end : NULL;
            ck_assert_ptr_eq(number_read_double(bytes, &value), end);
            ck_assert_ptr_eq(number_read_float(bytes, &narrow), end);
            ck_assert(!end || (i ? value == (i == 1 ? 1 : -1) * (double)INFINITY && (double)narrow == value
                                 : isnan(value) && isnan(narrow)));
        }
    static const char *const wholes[] = {"-12", "1.50e1", "120e-1", "18446744073709551615.0", "-", "1.",
                                         "1e",  "1e-",    "0"};
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
        int64_t whole;
        const struct bytes bytes = edge_bytes(&edge, wholes[i], strlen(wholes[i]));
        const uint8_t *end = number_read_int64(bytes, &whole);
        ck_assert(!end || end == bytes.end);
    }
    edge_free(&edge);
}
END_TEST

/* Every number of digits before and behind the point, with sign and exponent, in front of an unreadable page. */
START_TEST(plain_numbers_of_every_length_are_read_exactly)
{
    struct edge edge = edge_new();
    for (int before = 1; before <= 10; before++)
        for (int behind = 0; behind <= 21; behind++)
            for (int round = 0; round < 60; round++) {
                char text[100], *at = text;
                at += sprintf(at, "%s", round % 3 ? "" : "-");
                for (int i = 0; i < before; i++)
                    *at++ = (char)('0' + (before == 1 && round % 2 ? 0
                                          : i                      ? random_bits() % 10
                                                                   : 1 + random_bits() % 9));
                for (int i = 0; i < behind; i++)
                    at += sprintf(at, "%s%d", i ? "" : ".", (int)(round % 4 == 3 && i < 7 ? 0 : random_bits() % 10));
                if (round % 5 == 0)
                    at += sprintf(at, "%c%+d", round % 2 ? 'e' : 'E', (int)(random_bits() % 60) - 30);
                *at = '\0';
                expect_same_reading(text);
                for (size_t n = strlen(text); n < 40; n++) {
                    memset(text + n, ',', 1);
                    const struct bytes bytes = edge_bytes(&edge, text, n + 1);
                    float value;
                    EXPECT(number_read_float(bytes, &value) == bytes.at + (at - text), "%s", text);
                }
            }
    edge_free(&edge);
}
END_TEST

START_TEST(a_list_of_plain_numbers_is_read_at_once)
{
    static const char text[] =
        "0.5,-1, 2.25e1,  3,4,-0,[5,NaN,1e39,16777217,6,7,8,9.5                                 ";
    static const struct {
        int at;
        int64_t most, n;
        int end;
        float values[3];
    } cases[] = {{0, 9, 3, 14, {0.5f, -1, 22.5f}},
                 {0, 2, 2, 6, {0.5f, -1}},
                 {17, 9, 3, 23, {3, 4, -0.0f}},
                 {24, 9, 0, 24, {0}},
                 {25, 9, 1, 26, {5}},
                 {27, 9, 0, 27, {0}},
                 {31, 9, 0, 31, {0}},
                 {36, 9, 0, 36, {0}},
                 {45, 3, 3, 50, {6, 7, 8}},
                 {45, 0, 0, 45, {0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float values[9] = {0};
        struct bytes list = bytes_of(text + cases[i].at, sizeof text - 1 - (size_t)cases[i].at);
        ck_assert_int_eq(number_read_floats(&list, values, cases[i].most), cases[i].n);
        ck_assert_ptr_eq(list.at, (const uint8_t *)text + cases[i].end);
        ck_assert(memcmp(values, cases[i].values, (size_t)cases[i].n * sizeof *values) == 0);
    }
    struct edge edge = edge_new();
    for (size_t n = 0; n < 200; n++) { /* what is near the end is left to others */
        char many[200];
        float values[100] = {0};
        for (size_t k = 0; k < n; k++)
            many[k] = (char)(k % 2 ? ',' : '1' + k / 2 % 9);
        struct bytes list = edge_bytes(&edge, many, n);
        const uint8_t *from = list.at;
        int64_t read = number_read_floats(&list, values, 100);
        ck_assert_int_eq(read, n < 32 ? 0 : (int64_t)(n - 30) / 2);
        ck_assert(list.at == from + (read ? 2 * read - 1 : 0));
        for (int64_t k = 0; k < read; k++)
            ck_assert(values[k] == (float)(1 + k % 9));
    }
    for (size_t n = 4; n < 100; n++) { /* an exponent may be long */
        char long_one[101];
        float value = 7;
        memset(long_one, '0', n);
        memcpy(long_one, "75e", 3);
        memcpy(long_one + n, ",", 2);
        expect_same_reading(long_one);
        struct bytes followed = edge_bytes(&edge, long_one, n + 1);
        ck_assert_int_eq(number_read_floats(&followed, &value, 9), 0);
        struct bytes whole = edge_bytes(&edge, long_one, n);
        ck_assert_int_eq(number_read_floats(&whole, &value, 9), 0);
        ck_assert_ptr_eq(number_read_float(whole, &value), whole.end);
        ck_assert(value == 75);
    }
    edge_free(&edge);
}
END_TEST

START_TEST(whole_numbers_may_be_written_with_zeros_behind_them)
{
    static const struct {
        const char *text;
        bool fits;
        uint64_t value;
    } cases[] = {{"1000000000000000000000e-2", true, UINT64_C(10000000000000000000)},
                 {"18446744073709551615.000", true, UINT64_MAX},
                 {"1844674407370955161.5e1", true, UINT64_MAX},
                 {"18446744073709551616.0", false, 0},
                 {"1.8446744073709551615e19", true, UINT64_MAX},
                 {"1.8446744073709551616e19", false, 0},
                 {"1e19", true, UINT64_C(10000000000000000000)},
                 {"2e19", false, 0},
                 {"1e20", false, 0},
                 {"100e17", true, UINT64_C(10000000000000000000)},
                 {"10.0e-1", true, 1},
                 {"10.5e-1", false, 0},
                 {"0.0", true, 0},
                 {"0.5e1", true, 5},
                 {"0.05e1", false, 0},
                 {"123456789012345678901e-1", false, 0},
                 {"0.00010e4", true, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t value = 77;
        bool fits = number_read_uint64(bytes_of_text(cases[i].text), &value) != NULL;
        ck_assert_msg(fits == cases[i].fits, "%s", cases[i].text);
        ck_assert_uint_eq(value, fits ? cases[i].value : 77);
    }
}
END_TEST

START_TEST(sizes_are_whole_bytes_up_to_the_largest)
{
    static const struct {
        const char *text;
        bool fits;
        size_t n_bytes;
    } cases[] = {{"0", true, 0},
                 {"0.5k", true, 512},
                 {"1K", true, 1024},
                 {"1m", true, 1 << 20},
                 {"3g", true, (size_t)3 << 30},
                 {"1.9", true, 1},
                 {"9e18", true, (size_t)9000000000000000000},
                 {"9.2e18", false, 0},
                 {"9e9G", false, 0},
                 {"-0.1", false, 0},
                 {"1k ", false, 0},
                 {"Infinity", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 77;
        ck_assert_msg(number_read_size(cases[i].text, &n) == cases[i].fits, "%s", cases[i].text);
        ck_assert_uint_eq(n, cases[i].fits ? cases[i].n_bytes : 77);
    }
}
END_TEST

/* Whatever byte stands behind a number, near the end of a text or far from it. */
START_TEST(a_number_ends_before_any_byte_that_it_cannot_have)
{
    static const char *const numbers[] = {"12", "-7", "0", "1.5", "2e3", "2E-3", "1234567890123456", "0.25e+1"};
    char text[96];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (int behind = 1; behind < 256; behind++)
            for (int far = 0; far < 2; far++) {
                if (strchr("0123456789.eE", behind))
                    continue;
                memset(text, ' ', sizeof text);
                memcpy(text, numbers[i], strlen(numbers[i]));
                text[strlen(numbers[i])] = (char)behind;
                const struct bytes from = bytes_of(text, strlen(numbers[i]) + 1 + (far ? 40 : 0));
                const uint8_t *end = from.at + strlen(numbers[i]);
                double wide = 0;
                float narrow = 0;
                ck_assert_msg(number_read_double(from, &wide) == end, "%s before %d", numbers[i], behind);
                ck_assert_ptr_eq(number_read_float(from, &narrow), end);
                ck_assert(wide == strtod(numbers[i], NULL) && narrow == strtof(numbers[i], NULL));
                int64_t whole = 0;
                if (!strpbrk(numbers[i], ".eE")) {
                    ck_assert_ptr_eq(number_read_int64(from, &whole), end);
                    ck_assert_int_eq(whole, strtoll(numbers[i], NULL, 10));
                }
            }
}
END_TEST

/* What stands before a number is no part of it, whatever it is. */
START_TEST(a_number_begins_where_it_begins)
{
    char text[64];
    for (int before = 1; before < 128; before++)
        for (int sign = 0; sign < 2; sign++) {
            snprintf(text, sizeof text, "%c%s12,                                           ", before, sign ? "-" : "");
            const struct bytes from = bytes_of(text + 1, strlen(text) - 1);
            const uint8_t *end = (const uint8_t *)text + 3 + sign;
            int64_t whole = 0;
            double wide = 0;
            float narrow = 0;
            ck_assert_ptr_eq(number_read_int64(from, &whole), end);
            ck_assert_ptr_eq(number_read_double(from, &wide), end);
            ck_assert_ptr_eq(number_read_float(from, &narrow), end);
            ck_assert_int_eq(whole, sign ? -12 : 12);
            ck_assert(wide == (double)whole && narrow == (float)whole);
        }
}
END_TEST

Suite *base_number_suite(void)
{
    Suite *suite = suite_create("base_number");
    TCase *tests = tcase_create("number");
    tcase_add_test(tests, every_4099th_float_comes_back_from_its_text);
    tcase_add_test(tests, random_doubles_and_powers_of_two_come_back_from_their_text);
    tcase_add_test(tests, no_shorter_text_reads_back_as_the_float);
    tcase_add_test(tests, any_number_of_digits_is_read_as_the_c_library_reads_it);
    tcase_add_test(tests, texts_between_two_floats_are_rounded_once);
    tcase_add_test(tests, hard_and_extreme_texts_are_read_exactly);
    tcase_add_test(tests, what_is_not_a_json_number_is_refused);
    tcase_add_test(tests, words_for_nan_and_infinity_go_both_ways);
    tcase_add_test(tests, floats_are_printed_as_people_write_them);
    tcase_add_test(tests, integers_are_read_when_whole_and_in_range);
    tcase_add_test(tests, integers_are_printed_up_to_their_limits);
    tcase_add_test(tests, sizes_may_have_a_unit);
    tcase_add_test(tests, texts_are_the_shortest_and_of_these_the_nearest);
    tcase_add_test(tests, doubles_are_printed_as_people_write_them);
    tcase_add_test(tests, a_number_ends_where_its_grammar_ends);
    tcase_add_test(tests, a_text_ends_where_its_bytes_end);
    tcase_add_test(tests, plain_numbers_of_every_length_are_read_exactly);
    tcase_add_test(tests, a_list_of_plain_numbers_is_read_at_once);
    tcase_add_test(tests, whole_numbers_may_be_written_with_zeros_behind_them);
    tcase_add_test(tests, sizes_are_whole_bytes_up_to_the_largest);
    tcase_add_test(tests, a_number_ends_before_any_byte_that_it_cannot_have);
    tcase_add_test(tests, a_number_begins_where_it_begins);
    suite_add_tcase(suite, tests);
    return suite;
}
