/*
 * bare.c PORT - libmicrohttpd and nothing else: every request gets the reply of /v2/health/live. What that costs here
 * no server on this library can undercut; serving.py measures ours against it. Runs until it is killed.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n_bytes, void **context)
{
    (void)user, (void)url, (void)method, (void)version, (void)data;
    if (!*context) { /* the head */
        *context = connection;
        return MHD_YES;
    }
    *n_bytes = 0;
    static char body[] = "{\"live\":true}\n";
    struct MHD_Response *response = MHD_create_response_from_buffer(sizeof body - 1, body, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

int main(int argc, char **argv)
{
    const int port = argc > 1 ? atoi(argv[1]) : 0;
    if (port <= 0 || !MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_INTERNAL_POLLING_THREAD, (uint16_t)port, NULL, NULL,
                                       on_request, NULL, MHD_OPTION_END)) {
        fprintf(stderr, "bare: cannot listen; usage: bare PORT\n");
        return 1;
    }
    for (;;)
        pause();
}
