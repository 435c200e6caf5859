/* site.c - settings that are read or judged before a server starts. Threads: the loop's. */
#include "http/site.h"

#include "base/err.h"
#include "http/certificate.h"

#define PATH_MAX_BYTES 200

/* It is compared with decoded paths. */
static bool judge_base_path(const char *path, struct percept_err *err)
{
    const size_t n = path ? strlen(path) : 0;
    bool good = n > 1 && n <= PATH_MAX_BYTES && path[0] == '/' && path[n - 1] != '/' && !strstr(path, "//");
    for (size_t i = 0; i < n; i++)
        good &= path[i] == '/' || (path[i] >= 'a' && path[i] <= 'z') || (path[i] >= 'A' && path[i] <= 'Z') ||
                (path[i] >= '0' && path[i] <= '9') || memchr("-._~", path[i], 4);
    return !path || good ||
           err_set(
               err, ERR_CONFIG,
               "--base-path %s: expected a path such as /models/eu of letters, digits and -._~, without a slash at its "
               "end",
               path);
}

/* Where --client-shm says so. */
static bool share_memory(struct site *site, struct percept_err *err)
{
    const struct settings *settings = site->settings;
    if (!settings->client_shm)
        return true;
    site->client_shm =
        client_shm_new(settings->client_shm, settings->region_prefix ? settings->region_prefix : "perceptd", err);
    return site->client_shm != NULL;
}

bool site_open(struct site *site, struct percept_err *err)
{
    const struct settings *settings = site->settings;
    if (judge_base_path(settings->base_path, err) && keys_read(settings->api_key_file, &site->keys, err) &&
        peer_read(settings->trusted_proxies, settings->n_trusted_proxies, &site->trusted, err) &&
        cors_read(settings->cors_origins, settings->n_cors_origins, &site->cors, err) && share_memory(site, err))
        return true;
    site_close(site);
    return false;
}

void site_close(struct site *site)
{
    client_shm_free(site->client_shm);
    site->client_shm = NULL;
    peer_free(&site->trusted);
    keys_free(&site->keys);
}

bool site_check(const struct settings *settings, struct percept_err *err)
{
    struct site site = {.settings = settings};
    if (!certificate_check(settings, err) || !site_open(&site, err))
        return false;
    site_close(&site);
    return true;
}
