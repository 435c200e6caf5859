/* wire.c - fields are found in place; whatever is cut, too long or a group is refused. */
#include "graph/wire.h"

#include <check.h>

#include "proto.h"

static struct bytes view(const void *at, size_t n)
{
    return bytes_of(at, n);
}

static const char *broken_by(const void *at, size_t n)
{
    struct wire wire = wire_of(view(at, n));
    struct wire_field field;
    while (wire_next(&wire, &field))
        ;
    return wire.broken;
}

START_TEST(fields_of_all_types_are_found_in_order)
{
    struct proto p = {0};
    proto_int(&p, WIRE_VARINT(1), 300);
    proto_text(&p, WIRE_LEN(2), "abc");
    proto_fixed32(&p, WIRE_FIXED32(3), 1.5f);
    proto_varint(&p, WIRE_FIXED64(4));
    proto_raw(&p, "\1\2\3\4\5\6\7\10", 8);
    struct wire wire = wire_of(proto_view(&p));
    struct wire_field field;
    ck_assert(wire_next(&wire, &field));
    ck_assert_uint_eq(field.tag, WIRE_VARINT(1));
    ck_assert_uint_eq(field.value, 300);
    ck_assert(wire_next(&wire, &field));
    ck_assert_uint_eq(field.tag, WIRE_LEN(2));
    ck_assert(bytes_is(field.bytes, "abc"));
    ck_assert(wire_next(&wire, &field));
    ck_assert_uint_eq(field.tag, WIRE_FIXED32(3));
    ck_assert_uint_eq(field.value, 0x3fc00000);
    ck_assert(wire_next(&wire, &field));
    ck_assert_uint_eq(field.tag, WIRE_FIXED64(4));
    ck_assert_uint_eq(field.value, 0x0807060504030201);
    ck_assert(!wire_next(&wire, &field));
    ck_assert_ptr_null(wire.broken);
    proto_free(&p);
}
END_TEST

START_TEST(an_empty_message_has_no_fields_and_is_whole)
{
    ck_assert_ptr_null(broken_by("", 0));
}
END_TEST

START_TEST(varints_have_up_to_ten_bytes)
{
    const uint8_t most[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    const uint8_t eleven[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
    const uint8_t wide[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    struct bytes rest = view(most, sizeof most);
    uint64_t value;
    ck_assert(wire_varint(&rest, &value));
    ck_assert_uint_eq(value, UINT64_MAX);
    ck_assert_uint_eq(bytes_size(rest), 0);
    rest = view(eleven, sizeof eleven);
    ck_assert(!wire_varint(&rest, &value));
    rest = view(wide, sizeof wide);
    ck_assert(!wire_varint(&rest, &value));
    rest = view(most, 9);
    ck_assert(!wire_varint(&rest, &value));
    ck_assert_ptr_eq(rest.at, most);
}
END_TEST

START_TEST(lengths_beyond_the_end_are_refused)
{
    ck_assert_ptr_nonnull(broken_by("\x0a\x03"
                                    "ab",
                                    4));
    ck_assert_ptr_nonnull(broken_by("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11));
    ck_assert_ptr_null(broken_by("\x0a\x02"
                                 "ab",
                                 4));
}
END_TEST

START_TEST(groups_and_unknown_wire_types_are_refused)
{
    ck_assert_ptr_nonnull(strstr(broken_by("\x0b", 1), "group"));
    ck_assert_ptr_nonnull(strstr(broken_by("\x0c", 1), "group"));
    ck_assert_ptr_nonnull(strstr(broken_by("\x0e", 1), "wire type"));
    ck_assert_ptr_nonnull(strstr(broken_by("\x0f", 1), "wire type"));
}
END_TEST

START_TEST(field_number_zero_and_numbers_beyond_29_bits_are_refused)
{
    ck_assert_ptr_nonnull(broken_by("\x00\x00", 2));
    ck_assert_ptr_nonnull(broken_by("\x80\x80\x80\x80\x10\x00", 6));
    ck_assert_ptr_null(broken_by("\xf8\xff\xff\xff\x0f\x00", 6));
}
END_TEST

START_TEST(reading_ends_at_the_first_break)
{
    struct wire wire = wire_of(view("\x0a\x7f", 2));
    struct wire_field field;
    ck_assert(!wire_next(&wire, &field));
    ck_assert(!wire_next(&wire, &field));
    ck_assert_ptr_nonnull(wire.broken);
}
END_TEST

START_TEST(numbers_cut_short_are_refused)
{
    ck_assert_ptr_nonnull(broken_by("\x0d\1\2\3", 4));
    ck_assert_ptr_nonnull(broken_by("\x09\1\2\3\4\5\6\7", 8));
    ck_assert_ptr_nonnull(broken_by("\x08\x80", 2));
    ck_assert_ptr_nonnull(broken_by("\x80", 1));
}
END_TEST

START_TEST(packed_varints_are_counted)
{
    ck_assert_uint_eq(wire_count(view("\x01\x80\x01\x7f", 4)), 3);
    ck_assert_uint_eq(wire_count(view("", 0)), 0);
}
END_TEST

START_TEST(find_passes_over_other_fields)
{
    struct proto p = {0};
    proto_int(&p, WIRE_VARINT(2), 1);
    proto_text(&p, WIRE_LEN(1), "no");
    proto_text(&p, WIRE_LEN(2), "yes");
    proto_text(&p, WIRE_LEN(2), "again");
    struct wire wire = wire_of(proto_view(&p));
    struct bytes found;
    ck_assert(wire_find(&wire, WIRE_LEN(2), &found));
    ck_assert(bytes_is(found, "yes"));
    ck_assert(wire_find(&wire, WIRE_LEN(2), &found));
    ck_assert(bytes_is(found, "again"));
    ck_assert(!wire_find(&wire, WIRE_LEN(2), &found));
    proto_free(&p);
}
END_TEST

START_TEST(varints_of_every_length_are_read)
{
    for (int shift = 0; shift < 64; shift++)
        for (int less = 0; less < 2; less++) {
            struct proto p = {0};
            uint64_t value = ((uint64_t)1 << shift) - (uint64_t)less, read = 77;
            proto_varint(&p, value);
            ck_assert_uint_eq(wire_count(proto_view(&p)), 1);
            proto_raw(&p, "\5", 1);
            struct bytes rest = proto_view(&p);
            ck_assert(wire_varint(&rest, &read));
            ck_assert_uint_eq(read, value);
            ck_assert_uint_eq(bytes_size(rest), 1);
            proto_free(&p);
        }
}
END_TEST

START_TEST(each_break_is_told)
{
    static const struct {
        const char *at;
        size_t n;
        const char *why;
    } breaks[] = {{"\x0d\1\2\3", 4, "a number is cut short"},  {"\x09\1\2\3\4\5\6\7", 8, "a number is cut short"},
                  {"\x08\x80", 2, "a varint is cut short"},    {"\x80", 1, "a tag is cut short"},
                  {"\x0a", 1, "a length is cut short"},        {"\x0a\2a", 3, "a field is longer than what remains"},
                  {"\2\0", 2, "a field number is outside of"}, {"\7\0", 2, "a field number is outside of"}};
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        const char *why = broken_by(breaks[i].at, breaks[i].n);
        ck_assert_msg(why && strstr(why, breaks[i].why), "'%s' is not in '%s'", breaks[i].why, why ? why : "nothing");
    }
    ck_assert_ptr_null(broken_by("\x0d\1\2\3\4", 5));
    ck_assert_ptr_null(broken_by("\x09\1\2\3\4\5\6\7\x8", 9));
    ck_assert_ptr_null(broken_by("\x0a\0", 2));
}
END_TEST

Suite *graph_wire_suite(void)
{
    Suite *suite = suite_create("graph_wire");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, fields_of_all_types_are_found_in_order);
    tcase_add_test(tests, an_empty_message_has_no_fields_and_is_whole);
    tcase_add_test(tests, varints_have_up_to_ten_bytes);
    tcase_add_test(tests, lengths_beyond_the_end_are_refused);
    tcase_add_test(tests, groups_and_unknown_wire_types_are_refused);
    tcase_add_test(tests, field_number_zero_and_numbers_beyond_29_bits_are_refused);
    tcase_add_test(tests, reading_ends_at_the_first_break);
    tcase_add_test(tests, numbers_cut_short_are_refused);
    tcase_add_test(tests, packed_varints_are_counted);
    tcase_add_test(tests, find_passes_over_other_fields);
    tcase_add_test(tests, varints_of_every_length_are_read);
    tcase_add_test(tests, each_break_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
