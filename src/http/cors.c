/*
 * cors.c - a list of origins, and whether one is in it. An origin is compared whole and as it is: browsers write it in
 * one form (RFC 6454, 6.2).
 */
#include "http/cors.h"

#include "base/err.h"

static bool is_origin(const char *text)
{
    const char *host = strstr(text, "://");
    if (strcmp(text, "*") == 0 || strcmp(text, "null") == 0)
        return text[0] == '*';
    if (!host || host == text || !host[3])
        return false;
    for (const char *at = text; at < host; at++)
        if (!(*at >= 'a' && *at <= 'z') && (at == text || !strchr("0123456789+-.", *at)))
            return false;
    for (const char *at = host + 3; *at; at++)
        if (!(*at >= 'a' && *at <= 'z') && !strchr("0123456789-._:[]", *at))
            return false;
    return true;
}

bool cors_read(const char *const *origins, int n, struct cors *cors, struct percept_err *err)
{
    for (int i = 0; i < n; i++)
        if (!is_origin(origins[i]))
            return err_set(err, ERR_CONFIG,
                           "--cors-origin %s: expected * or an origin as browsers send it, such as https://app.example "
                           "or http://localhost:3000: small letters, no path",
                           origins[i]);
    *cors = (struct cors){.n = n, .origins = origins};
    return true;
}

const char *cors_allowed(const struct cors *cors, struct bytes origin)
{
    for (int i = 0; origin.at && i < cors->n; i++)
        if (strcmp(cors->origins[i], "*") == 0 || bytes_is(origin, cors->origins[i]))
            return cors->origins[i];
    return NULL;
}
