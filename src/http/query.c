/*
 * query.c - see query.h. Names and words that we ask for have nothing to decode. What nobody asks for is not looked at.
 */
#include "http/query.h"

struct bytes query_find(const char *target, const char *name)
{
    const size_t n = strlen(name);
    const char *at = target + strcspn(target, "?#");
    while (*at == '?' || *at == '&') {
        at++;
        const size_t length = strcspn(at, "&#");
        if (length > n && strncmp(at, name, n) == 0 && at[n] == '=')
            return bytes_of(at + n + 1, length - n - 1);
        at += length;
    }
    return (struct bytes){0};
}

bool query_flag(const char *target, const char *name, bool *value)
{
    const struct bytes text = query_find(target, name);
    if (!text.at)
        return true;
    if (!bytes_is(text, "true") && !bytes_is(text, "false"))
        return false;
    *value = bytes_is(text, "true");
    return true;
}
