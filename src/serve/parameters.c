/*
 * parameters.c - see parameters.h.
 *
 * Values may be in quotes, in which a backslash hides the next byte. Every index stays within the field, whatever it
 * holds; of two parameters of a name the first counts.
 */
#include "serve/parameters.h"

#include <strings.h>

bool parameters_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct bytes parameters_trim(struct bytes text)
{
    while (text.at < text.end && parameters_blank(*text.at))
        text.at++;
    while (text.at < text.end && parameters_blank(text.end[-1]))
        text.end--;
    return text;
}

/* Behind a value in quotes, in which a backslash hides the next byte; without an end the text's. */
static const uint8_t *past_quotes(const uint8_t *at, const uint8_t *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\' && at + 1 < end;
    return at < end ? at + 1 : end;
}

/* The next parameter of a field, whose value keeps its quotes. */
static bool next_parameter(struct bytes *field, struct bytes *name, struct bytes *value)
{
    while (field->at < field->end && *field->at != ';')
        field->at = *field->at == '"' ? past_quotes(field->at, field->end) : field->at + 1;
    if (field->at == field->end)
        return false;
    const uint8_t *from = ++field->at;
    while (field->at < field->end && *field->at != '=' && *field->at != ';')
        field->at++;
    *name = parameters_trim((struct bytes){from, field->at});
    *value = (struct bytes){field->at, field->at};
    if (field->at == field->end || *field->at == ';')
        return true;
    from = ++field->at;
    while (field->at < field->end && *field->at != ';')
        field->at = *field->at == '"' ? past_quotes(field->at, field->end) : field->at + 1;
    *value = parameters_trim((struct bytes){from, field->at});
    return true;
}

bool parameters_same(struct bytes text, const char *word)
{
    return bytes_size(text) == strlen(word) && strncasecmp((const char *)text.at, word, strlen(word)) == 0;
}

int parameters_find(struct bytes field, const char *wanted, char *to, size_t n_bytes)
{
    struct bytes name, value;
    while (next_parameter(&field, &name, &value)) {
        if (!parameters_same(name, wanted))
            continue;
        const bool quoted = bytes_size(value) > 1 && *value.at == '"' && value.end[-1] == '"';
        value.at += quoted;
        value.end -= quoted;
        size_t n = 0;
        for (; value.at < value.end; value.at++) {
            value.at += quoted && *value.at == '\\' && value.at + 1 < value.end;
            if (n == n_bytes)
                return -1;
            to[n++] = (char)*value.at;
        }
        return (int)n;
    }
    return -1;
}
