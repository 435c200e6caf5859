/*
 * number.c - text <-> numbers without a locale, without a table of big powers, without loss.
 *
 * Reading. Most numbers are short and plain: their digits are taken eight at a time, whatever their
 * number is, by arithmetic on eight bytes (Lemire, "Number Parsing at a Gigabyte per Second", 2021),
 * and one multiplication or division by a power of ten makes them a double. What is unusual, or lies
 * within 32 bytes of the text's end, is read with care:
 *
 * A number is its first 19 significant digits and a power of ten. Where both that integer
 * and the power are exact doubles, one multiplication or division rounds once (Clinger). Else, for
 * powers up to 10^27, the integer is multiplied or divided by a power of five in 128 bits: the
 * quotient's top bits and "was anything left over" are all that rounding needs, so the answer is
 * exact. What remains (huge exponents, undecided cases of longer numbers) is rewritten as digits
 * and exponent, without a decimal point, and given to the C library. A float is rounded from the
 * text or from a double that cannot lie on the wrong side of a boundary between two floats, so it
 * too is rounded once.
 *
 * Writing. The numbers that read back as `value` form an interval. It is scaled by a power of ten,
 * in 128-bit integers without rounding, so that whole numbers lie in it; the one with the most
 * trailing zeros, nearest to the value, is the shortest text. Values too small or large for 128
 * bits are found by asking the C library for 1, 2, 3 ... digits.
 *
 * Everything is pure: no state, any thread. NUL-ended text is never assumed.
 */
#include "base/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DIGITS_KEPT 19        /* that fit in 64 bits, whatever they are */
#define DIGITS_DECISIVE 780   /* more never change how a double is rounded, but for being there */
#define EXPONENT_CLAMP 100000 /* beyond any double's, small enough to add to */
#define FIVES 28

__extension__ typedef unsigned __int128 wide;

#define POWER_5(n) n##ULL
static const uint64_t fives[FIVES] = {
    POWER_5(1),
    POWER_5(5),
    POWER_5(25),
    POWER_5(125),
    POWER_5(625),
    POWER_5(3125),
    POWER_5(15625),
    POWER_5(78125),
    POWER_5(390625),
    POWER_5(1953125),
    POWER_5(9765625),
    POWER_5(48828125),
    POWER_5(244140625),
    POWER_5(1220703125),
    POWER_5(6103515625),
    POWER_5(30517578125),
    POWER_5(152587890625),
    POWER_5(762939453125),
    POWER_5(3814697265625),
    POWER_5(19073486328125),
    POWER_5(95367431640625),
    POWER_5(476837158203125),
    POWER_5(2384185791015625),
    POWER_5(11920928955078125),
    POWER_5(59604644775390625),
    POWER_5(298023223876953125),
    POWER_5(1490116119384765625),
    POWER_5(7450580596923828125),
};

static const double exact_tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* A number as it was found: value = digits * 10^exponent, digits being the first n_kept significant
 * ones of n_digits. */
struct decimal {
    uint64_t digits;
    int64_t exponent;
    int64_t n_digits;
    const uint8_t *first; /* significant digit; a '.' may lie between it and `last` */
    const uint8_t *last;  /* one past the last digit of the mantissa */
    bool negative;
    bool rest; /* a digit that was not kept is not 0 */
};

static bool is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

/* Takes the digits at `at`, skipping leading zeros; returns where they end. */
static const uint8_t *digits_read(const uint8_t *at, const uint8_t *end, struct decimal *d)
{
    uint64_t digits = d->digits;
    int64_t n = d->n_digits;
    if (n == 0) {
        while (at < end && *at == '0')
            at++;
        d->first = at;
    }
    const uint8_t *from = at;
    int64_t room = DIGITS_KEPT - n;
    const uint8_t *stop = room <= 0 ? at : end - at > room ? at + room : end;
    for (; at < stop && is_digit(*at); at++)
        digits = digits * 10 + (uint64_t)(*at - '0');
    for (; at < end && is_digit(*at); at++) /* entered only when the room was used up */
        d->rest |= *at != '0';
    d->digits = digits;
    d->n_digits = n + (at - from);
    return at;
}

static const uint8_t *exponent_read(const uint8_t *at, const uint8_t *end, int64_t *exponent)
{
    if (at == end || (*at | 0x20) != 'e')
        return at;
    const uint8_t *digit = at + 1;
    bool negative = digit < end && *digit == '-';
    if (digit < end && (*digit == '-' || *digit == '+'))
        digit++;
    if (digit == end || !is_digit(*digit))
        return NULL;
    int64_t value = 0;
    for (; digit < end && is_digit(*digit); digit++)
        if (value < EXPONENT_CLAMP)
            value = value * 10 + (*digit - '0');
    *exponent = negative ? -value : value;
    return digit;
}

/* JSON's grammar of a number. NULL when text does not begin with one. */
static inline const uint8_t *decimal_read(struct bytes text, struct decimal *d)
{
    const uint8_t *at = text.at, *end = text.end;
    *d = (struct decimal){.negative = at < end && *at == '-'};
    at += d->negative;
    if (at == end || !is_digit(*at))
        return NULL;
    at = *at == '0' ? at + 1 : digits_read(at, end, d);
    int64_t n_fraction = 0;
    if (at < end && *at == '.') {
        const uint8_t *fraction = at + 1;
        at = digits_read(fraction, end, d);
        if (at == fraction)
            return NULL;
        n_fraction = at - fraction;
    }
    d->last = at;
    int64_t exponent = 0;
    at = exponent_read(at, end, &exponent);
    int64_t dropped = d->n_digits > DIGITS_KEPT ? d->n_digits - DIGITS_KEPT : 0;
    d->exponent = exponent - n_fraction + dropped;
    return at;
}

/* The top 64 bits of a number, what power of two they count, and whether anything lies below them.
 */
struct binary {
    uint64_t bits; /* the highest is set */
    int exponent;
    bool rest;
};

static struct binary binary_of(wide value, int exponent, bool rest)
{
    uint64_t high = (uint64_t)(value >> 64);
    int zeros = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)value);
    value <<= zeros;
    return (struct binary){
        .bits = (uint64_t)(value >> 64), .exponent = exponent + 64 - zeros, .rest = rest || (uint64_t)value != 0};
}

/* digits * 10^exponent, exact up to `rest`; digits is not 0 and |exponent| < FIVES. */
static struct binary binary_scale(uint64_t digits, int exponent)
{
    if (exponent >= 0)
        return binary_of((wide)digits * fives[exponent], exponent, false);
    /* The dividend's top bit is set and the divisor has at most 63, so 65 bits of quotient or more.
     */
    int zeros = __builtin_clzll(digits);
    uint64_t divisor = fives[-exponent];
    wide dividend = (wide)(digits << zeros) << 64;
    wide quotient = dividend / divisor;
    bool rest = quotient * divisor != dividend;
    return binary_of(quotient, exponent - 64 - zeros, rest);
}

/* Rounds to a mantissa of n_bits, ties to even. The result's bits as an IEEE number whose
 * exponent's bias is `bias`; infinity on overflow. What fives can scale is 10^-27 or more: normal. */
static uint64_t binary_round(struct binary b, int n_bits, int bias)
{
    const int drop = 64 - n_bits;
    uint64_t kept = b.bits >> drop;
    const uint64_t below = b.bits & (((uint64_t)1 << drop) - 1);
    const uint64_t half = (uint64_t)1 << (drop - 1);
    if (below > half || (below == half && (b.rest || (kept & 1))))
        kept++;
    /* The mantissa's highest bit counts one in the exponent, and so does a carry. */
    uint64_t bits = ((uint64_t)(b.exponent + 62 + bias) << (n_bits - 1)) + kept;
    uint64_t infinity = (uint64_t)(2 * bias + 1) << (n_bits - 1);
    return bits < infinity ? bits : infinity;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_of(uint64_t bits)
{
    uint32_t narrow = (uint32_t)bits;
    float value;
    memcpy(&value, &narrow, sizeof value);
    return value;
}

/* The number as DIGITSeEXPONENT for the C library: no decimal point, so no locale. */
static void decimal_copy(const struct decimal *d, char *to, size_t n_bytes)
{
    size_t n = 0;
    int64_t dropped = 0;
    bool rest = false;
    for (const uint8_t *at = d->first; at < d->last; at++) {
        if (*at == '.')
            continue;
        if (n < DIGITS_DECISIVE) {
            to[n++] = (char)*at;
        } else {
            dropped++;
            rest |= *at != '0';
        }
    }
    if (rest) {
        to[n++] = '1';
        dropped--;
    }
    int64_t kept_earlier = d->n_digits > DIGITS_KEPT ? d->n_digits - DIGITS_KEPT : 0;
    int64_t exponent = d->exponent - kept_earlier + dropped;
    snprintf(to + n, n_bytes - n, "e%lld", (long long)exponent);
}

static __attribute__((noinline, cold)) double double_slow(const struct decimal *d)
{
    char text[DIGITS_DECISIVE + 32];
    decimal_copy(d, text, sizeof text);
    return strtod(text, NULL);
}

static __attribute__((noinline, cold)) float float_slow(const struct decimal *d)
{
    char text[DIGITS_DECISIVE + 32];
    decimal_copy(d, text, sizeof text);
    return strtof(text, NULL);
}

/* --- what is short and plain -------------------------------------------------------------------------------------- */

#define PLAIN_BYTES 32 /* that must lie ahead: a sign, 8 digits, a point, 8 + 8 + 3 digits, and one more */
#define INLINE static inline __attribute__((always_inline))

/* A number below 2^63 times 10^exponent, every digit of it. */
struct plain {
    int64_t digits;
    int exponent;
};

/* Eight bytes ^ '0': a digit is its value, the first byte the lowest. */
INLINE uint64_t load_eight(const uint8_t *at)
{
    uint64_t eight;
    memcpy(&eight, at, sizeof eight);
    return eight ^ 0x3030303030303030;
}

/* How many of eight bytes are digits, up to the first that is none: a carry can only spoil what lies behind that. */
INLINE size_t digits_among(uint64_t eight)
{
    uint64_t others = ((eight + 0x7676767676767676) | eight) & 0x8080808080808080;
    return others ? (size_t)__builtin_ctzll(others) / 8 : 8;
}

/* The number that the first n of them are, 1 <= n <= 8: zeros are put in front, then neighbours are joined: 2, 4, 8. */
INLINE uint64_t digits_join(uint64_t eight, size_t n)
{
    const uint64_t pair = 0x000000ff000000ff;
    eight <<= 8 * (8 - n);
    eight = eight * 10 + (eight >> 8);
    return ((eight & pair) * 0x000f424000000064 + (eight >> 16 & pair) * 0x0000271000000001) >> 32;
}

/* Up to eight digits more. */
INLINE size_t digits_append(const uint8_t *at, uint64_t *digits)
{
    static const uint32_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
    uint64_t eight = load_eight(at);
    size_t n = digits_among(eight);
    if (n)
        *digits = *digits * tens[n] + digits_join(eight, n);
    return n;
}

/* The digits behind a point, at least one and at most 19. NULL: none or more. */
INLINE const uint8_t *fraction_read(const uint8_t *at, uint64_t *digits)
{
    const uint8_t *from = at;
    size_t n = digits_append(at, digits);
    at += n;
    if (n < 8)
        return n ? at : NULL;
    at += digits_append(at, digits);
    while (is_digit(*at)) {
        if (at - from == DIGITS_KEPT)
            return NULL;
        *digits = *digits * 10 + (uint64_t)(*at++ - '0');
    }
    return at;
}

/* Behind a sign. NULL: it is not short and plain, or no number. Two bytes lie behind it.
 * Branches where the next address would hang on what was loaded: numbers of one text are alike, and the
 * processor guesses well. */
INLINE const uint8_t *plain_read(const uint8_t *at, const uint8_t *end, struct plain *plain)
{
    uint64_t digits = 0;
    int64_t exponent = 0;
    const uint8_t *first = at;
    if (at[1] == '.' && is_digit(*at)) {
        digits = (uint64_t)(*at++ - '0');
    } else {
        size_t n = digits_append(at, &digits);
        if (n == 0 || n == 8 || (n > 1 && *at == '0'))
            return NULL;
        at += n;
    }
    if (*at == '.') {
        const uint8_t *fraction = at + 1;
        at = fraction_read(fraction, &digits);
        if (!at || at - first > DIGITS_KEPT + 1 || digits >> 63)
            return NULL;
        exponent = fraction - at;
    }
    if ((*at | 0x20) == 'e') {
        int64_t shift;
        at = exponent_read(at, end, &shift);
        if (!at || end - at < 2) /* it may have any number of zeros in front */
            return NULL;
        exponent += shift;
    }
    if (exponent < -22 || exponent > 19)
        return NULL;
    plain->digits = (int64_t)digits;
    plain->exponent = (int)exponent;
    return at;
}

/* Rounded once where the digits are below 2^53, else twice. */
INLINE double plain_double(const struct plain *plain)
{
    double digits = (double)plain->digits;
    int exponent = plain->exponent;
    return exponent < 0 ? digits / exact_tens[-exponent] : digits * exact_tens[exponent];
}

/* The bits that a double has and a float has not lie no further from the middle between two floats than roundings can
 * lead: else the number itself is on the same side of it. A plain number that is not 0 lies between 10^-22 and 10^38,
 * where floats are normal. */
INLINE bool is_near_middle(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return ((bits + 4 - 0x10000000) & 0x1fffffff) <= 8;
}

INLINE const uint8_t *plain_size(const uint8_t *at, const uint8_t *end, float *size)
{
    struct plain plain;
    at = plain_read(at, end, &plain);
    if (!at)
        return NULL;
    double close = plain_double(&plain);
    *size = (float)close;
    return is_near_middle(close) ? NULL : at;
}

INLINE const uint8_t *plain_float(const uint8_t *at, const uint8_t *end, float *value)
{
    if (end - at < PLAIN_BYTES)
        return NULL;
    if (*at != '-')
        return plain_size(at, end, value);
    at = plain_size(at + 1, end, value);
    *value = -*value;
    return at;
}

/* --- all others --------------------------------------------------------------------------------------------------- */

static bool in_range_of_fives(const struct decimal *d)
{
    return d->exponent > -FIVES && d->exponent < FIVES;
}

static bool clinger(const struct decimal *d, double *value)
{
    if (d->digits >> 53 || d->exponent < -22 || d->exponent > 22 || d->n_digits > DIGITS_KEPT)
        return false;
    double digits = (double)d->digits;
    *value = d->exponent < 0 ? digits / exact_tens[-d->exponent] : digits * exact_tens[d->exponent];
    return true;
}

/* Both neighbours of a number with more digits than were kept, rounded; equal ones decide. */
static bool rounded(const struct decimal *d, int n_bits, int bias, uint64_t *bits)
{
    if (!in_range_of_fives(d))
        return false;
    *bits = binary_round(binary_scale(d->digits, (int)d->exponent), n_bits, bias);
    return !d->rest || *bits == binary_round(binary_scale(d->digits + 1, (int)d->exponent), n_bits, bias);
}

static double double_value(const struct decimal *d)
{
    double value;
    uint64_t bits;
    if (d->digits == 0)
        value = 0;
    else if (!clinger(d, &value))
        value = rounded(d, 53, 1023, &bits) ? double_of(bits) : double_slow(d);
    return d->negative ? -value : value;
}

/* A double that is not halfway between two floats is on the same side of every such boundary as the
 * number it was rounded from. */
static bool narrows(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x1fffffff) != 0x10000000 && value >= (double)FLT_MIN && value < 1e38;
}

static float float_value(const struct decimal *d)
{
    double close;
    float value;
    uint64_t bits;
    if (d->digits == 0)
        value = 0;
    else if (clinger(d, &close) && narrows(close))
        value = (float)close;
    else
        value = rounded(d, 24, 127, &bits) ? float_of(bits) : float_slow(d);
    return d->negative ? -value : value;
}

static bool starts(struct bytes text, const char *word, size_t n)
{
    return bytes_size(text) >= n && memcmp(text.at, word, n) == 0;
}

static __attribute__((noinline)) const uint8_t *word_read(struct bytes text, double *value)
{
    if (starts(text, "NaN", 3)) {
        *value = (double)NAN;
        return text.at + 3;
    }
    if (starts(text, "Infinity", 8)) {
        *value = (double)INFINITY;
        return text.at + 8;
    }
    if (starts(text, "-Infinity", 9)) {
        *value = -(double)INFINITY;
        return text.at + 9;
    }
    return NULL;
}

static __attribute__((noinline)) const uint8_t *double_read(struct bytes text, double *value)
{
    struct decimal d;
    const uint8_t *end = decimal_read(text, &d);
    if (!end)
        return word_read(text, value);
    *value = double_value(&d);
    return end;
}

static __attribute__((noinline)) const uint8_t *float_read(struct bytes text, float *value)
{
    struct decimal d;
    const uint8_t *end = decimal_read(text, &d);
    if (!end) {
        double word;
        end = word_read(text, &word);
        if (end)
            *value = (float)word;
        return end;
    }
    *value = float_value(&d);
    return end;
}

const uint8_t *number_read_double(struct bytes text, double *value)
{
    struct plain plain;
    if (bytes_size(text) < PLAIN_BYTES)
        return double_read(text, value);
    bool negative = *text.at == '-';
    const uint8_t *end = plain_read(text.at + negative, text.end, &plain);
    if (!end)
        return double_read(text, value);
    double size = plain_double(&plain);
    if (plain.digits >> 53)
        size = double_of(binary_round(binary_scale((uint64_t)plain.digits, plain.exponent), 53, 1023));
    *value = negative ? -size : size;
    return end;
}

const uint8_t *number_read_float(struct bytes text, float *value)
{
    float close;
    const uint8_t *end = plain_float(text.at, text.end, &close);
    if (!end)
        return float_read(text, value);
    *value = close;
    return end;
}

int64_t number_read_floats(struct bytes *text, float *values, int64_t n)
{
    const uint8_t *at = text->at, *end = text->end;
    int64_t i = 0;
    while (i < n) {
        const uint8_t *next = plain_float(at, end, &values[i]);
        if (!next)
            break;
        i++;
        text->at = next;
        if (*next != ',')
            break;
        at = next + 1;
        if (*at == ' ')
            at++;
    }
    return i;
}

/* The magnitude of a whole number that has a fraction, an exponent or many digits. */
static bool whole(const struct decimal *d, uint64_t *value)
{
    *value = 0;
    if (d->n_digits == 0)
        return true;
    int64_t dropped = d->n_digits > DIGITS_KEPT ? d->n_digits - DIGITS_KEPT : 0;
    int64_t exponent = d->exponent - dropped; /* of the last digit that is written */
    const uint8_t *last = d->last;
    for (; last > d->first && (last[-1] == '0' || last[-1] == '.'); last--)
        exponent += last[-1] == '0';
    if (exponent < 0 || exponent > 19)
        return false;
    for (const uint8_t *at = d->first; at < last; at++)
        if (*at != '.' &&
            (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, (uint64_t)(*at - '0'), value)))
            return false;
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(*value, 10, value))
            return false;
    return true;
}

/* NULL: it is not short and plain, or no whole number. */
INLINE const uint8_t *plain_whole(struct bytes text, bool *negative, uint64_t *value)
{
    if (bytes_size(text) < PLAIN_BYTES)
        return NULL;
    *negative = *text.at == '-';
    const uint8_t *at = text.at + *negative;
    uint64_t eight = load_eight(at);
    size_t n = digits_among(eight);
    if (n == 0 || n == 8 || (n > 1 && *at == '0') || at[n] == '.' || (at[n] | 0x20) == 'e')
        return NULL;
    *value = digits_join(eight, n);
    return at + n;
}

static __attribute__((noinline)) const uint8_t *whole_read(struct bytes text, bool *negative, uint64_t *value)
{
    struct decimal d;
    const uint8_t *end = decimal_read(text, &d);
    if (!end)
        return NULL;
    *negative = d.negative;
    *value = d.digits;
    return (d.exponent == 0 && d.n_digits <= DIGITS_KEPT) || whole(&d, value) ? end : NULL;
}

const uint8_t *number_read_int64(struct bytes text, int64_t *value)
{
    bool negative;
    uint64_t magnitude;
    const uint8_t *end = plain_whole(text, &negative, &magnitude);
    if (!end)
        end = whole_read(text, &negative, &magnitude);
    if (!end || magnitude > (uint64_t)INT64_MAX + negative)
        return NULL;
    *value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return end;
}

const uint8_t *number_read_uint64(struct bytes text, uint64_t *value)
{
    bool negative;
    uint64_t magnitude;
    const uint8_t *end = plain_whole(text, &negative, &magnitude);
    if (!end)
        end = whole_read(text, &negative, &magnitude);
    if (!end || (negative && magnitude != 0))
        return NULL;
    *value = magnitude;
    return end;
}

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

static size_t digits_count(uint64_t value)
{
    size_t n = 1;
    for (; value >= 10000; value /= 10000)
        n += 4;
    return n + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Exactly n digits of value, which has n. */
static void digits_write(char *to, uint64_t value, size_t n)
{
    for (; n > 1; n -= 2, value /= 100)
        memcpy(to + n - 2, pairs + 2 * (value % 100), 2);
    if (n)
        *to = (char)('0' + value % 10);
}

size_t number_write_uint64(char *to, uint64_t value)
{
    size_t n = digits_count(value);
    digits_write(to, value, n);
    return n;
}

size_t number_write_int64(char *to, int64_t value)
{
    if (value >= 0)
        return number_write_uint64(to, (uint64_t)value);
    *to = '-';
    return 1 + number_write_uint64(to + 1, 0 - (uint64_t)value);
}

/* digits * 10^exponent as JSON has it: plain between 0.0001 and 10^16, else with an exponent. */
static size_t decimal_write(char *to, uint64_t digits, int exponent)
{
    int n = (int)digits_count(digits);
    int point = n + exponent; /* value = 0.DIGITS * 10^point */
    char *at = to;
    if (point > 16 || point < -3) {
        digits_write(at + 1, digits, (size_t)n);
        at[0] = at[1];
        at[1] = '.';
        at += n > 1 ? n + 1 : 1;
        *at++ = 'e';
        return (size_t)(at - to) + number_write_int64(at, point - 1);
    }
    if (point <= 0) {
        memcpy(at, "0.0000", 6);
        at += 2 - point;
        digits_write(at, digits, (size_t)n);
        return (size_t)(at + n - to);
    }
    if (exponent >= 0) {
        digits_write(at, digits, (size_t)n);
        memset(at + n, '0', (size_t)exponent);
        memcpy(at + point, ".0", 2);
        return (size_t)point + 2;
    }
    digits_write(at + 1, digits, (size_t)n);
    memmove(at, at + 1, (size_t)point);
    at[point] = '.';
    return (size_t)n + 1;
}

/* A finite, positive value m * 2^e and how its kind of number is read. */
struct precise {
    uint64_t m;
    int e;
    int n_bits;   /* of a full mantissa */
    int n_digits; /* that always suffice */
    bool narrow;  /* the next number below is half as far as the one above */
};

static wide five_to(int n)
{
    return n < FIVES ? fives[n] : (wide)fives[FIVES - 1] * fives[n - FIVES + 1];
}

/* quarters / 4 * 2^e * 10^k -> its whole part and whether there is more. */
static uint64_t scaled(uint64_t quarters, const struct precise *p, int k, bool *more)
{
    int shift = p->e - 2 + k;
    if (k < 0) {
        wide value = (wide)quarters << shift, divisor = five_to(-k);
        wide quotient = value / divisor;
        *more = quotient * divisor != value;
        return (uint64_t)quotient;
    }
    wide value = (wide)quarters * five_to(k);
    if (shift >= 0) {
        *more = false;
        return (uint64_t)(value << shift);
    }
    *more = (value & (((wide)1 << -shift) - 1)) != 0;
    return (uint64_t)(value >> -shift);
}

/* 128 bits hold everything that `scaled` makes. */
static bool fits(const struct precise *p, int k)
{
    int shift = p->e - 2 + k;
    if (k < 0)
        return shift >= 0 && p->n_bits + 3 + shift <= 127 && -k < 2 * FIVES - 1;
    /* 5^k < 2^(2.33 k); so k is at most 42, and less than 2 * FIVES */
    return shift > -128 && p->n_bits + 3 + (k * 7 + 2) / 3 + (shift > 0 ? shift : 0) <= 127;
}

/* The shortest digits in the interval, the nearest of these; false when 128 bits do not do. */
static bool shortest(const struct precise *p, uint64_t *digits, int *exponent)
{
    int top = p->e + 63 - __builtin_clzll(p->m);
    int log10 = (int)((top * 1262611LL) >> 22); /* floor, exact in a double's range */
    int k = p->n_digits - log10;                /* one digit more than ever needed: the last one is always dropped */
    if (!fits(p, k))
        return false;
    bool even = !(p->m & 1), more;
    uint64_t low = scaled(4 * p->m - (p->narrow ? 1 : 2), p, k, &more);
    low += more || !even;
    uint64_t high = scaled(4 * p->m + 2, p, k, &more);
    high -= !more && !even;
    uint64_t middle = scaled(4 * p->m, p, k, &more);
    if (low > high)
        return false;
    uint64_t ten = 1;
    int dropped = 0;
    for (;;) {
        uint64_t next_low = (low + 9) / 10, next_high = high / 10;
        if (next_low > next_high)
            break;
        low = next_low;
        high = next_high;
        ten *= 10;
        dropped++;
    }
    uint64_t chosen = middle / ten;
    uint64_t beyond = middle - chosen * ten;
    if (2 * beyond > ten || (2 * beyond == ten && (more || (chosen & 1))))
        chosen++;
    *digits = chosen < low ? low : chosen > high ? high : chosen;
    *exponent = dropped - k;
    return true;
}

/* By asking for ever more digits; `narrow` reads back as a float. */
static __attribute__((noinline, cold)) size_t write_slow(char *to, double value, bool narrow)
{
    for (int n = 1;; n++) {
        char text[40];
        int size = snprintf(text, sizeof text, "%.*e", n - 1, value);
        char *end = NULL;
        bool same = narrow ? strtof(text, &end) == (float)value : strtod(text, &end) == value;
        if (!same && n < 17)
            continue;
        uint64_t digits = 0;
        int at = 0;
        for (; at < size && text[at] != 'e'; at++)
            if (is_digit((uint8_t)text[at]))
                digits = digits * 10 + (uint64_t)(text[at] - '0');
        return decimal_write(to, digits, (int)strtol(text + at + 1, NULL, 10) - (n - 1));
    }
}

static size_t write_word(char *to, double value)
{
    const char *word = isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
    size_t n = strlen(word);
    memcpy(to, word, n);
    return n;
}

static size_t write_precise(char *to, const struct precise *p, double value)
{
    uint64_t digits;
    int exponent;
    if (shortest(p, &digits, &exponent))
        return decimal_write(to, digits, exponent);
    return write_slow(to, value, p->n_bits == 24);
}

/* Whole numbers below 10^9 are common (pixels, counts) and their digits are their own. */
static size_t write_whole(char *to, uint32_t value)
{
    size_t n = number_write_uint64(to, value);
    memcpy(to + n, ".0", 2);
    return n + 2;
}

size_t number_write_float(char *to, float value)
{
    if (!isfinite(value))
        return write_word(to, (double)value);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    size_t sign = bits >> 31;
    *to = '-';
    to += sign;
    float size = sign ? -value : value;
    if (size < 16777216.0f && size == (float)(uint32_t)size)
        return sign + write_whole(to, (uint32_t)size);
    uint32_t fraction = bits & 0x7fffff;
    int biased = bits >> 23 & 0xff;
    struct precise p = {.m = biased ? fraction | 0x800000 : fraction,
                        .e = (biased ? biased : 1) - 150,
                        .n_bits = 24,
                        .n_digits = FLT_DECIMAL_DIG,
                        .narrow = fraction == 0 && biased > 1};
    return sign + write_precise(to, &p, (double)size);
}

size_t number_write_double(char *to, double value)
{
    if (!isfinite(value))
        return write_word(to, value);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    size_t sign = (size_t)(bits >> 63);
    *to = '-';
    to += sign;
    double size = sign ? -value : value;
    if (size < 1e9 && size == (double)(uint32_t)size)
        return sign + write_whole(to, (uint32_t)size);
    uint64_t fraction = bits & 0xfffffffffffff;
    int biased = (int)(bits >> 52 & 0x7ff);
    struct precise p = {.m = biased ? fraction | 0x10000000000000 : fraction,
                        .e = (biased ? biased : 1) - 1075,
                        .n_bits = 53,
                        .n_digits = DBL_DECIMAL_DIG,
                        .narrow = fraction == 0 && biased > 1};
    return sign + write_precise(to, &p, size);
}

bool number_read_size(const char *text, size_t *n_bytes)
{
    struct bytes all = bytes_of_text(text);
    double value;
    const uint8_t *end = number_read_double(all, &value);
    if (!end || !(value >= 0))
        return false;
    if (end < all.end) {
        int shift = (*end | 0x20) == 'k' ? 10 : (*end | 0x20) == 'm' ? 20 : (*end | 0x20) == 'g' ? 30 : 0;
        if (!shift || ++end < all.end)
            return false;
        value *= (double)((uint64_t)1 << shift);
    }
    if (value >= 9.2e18)
        return false;
    *n_bytes = (size_t)value;
    return true;
}
