/*
 * settings.h - what the program decided about serving, in one place: filled from the options by
 * command/serve.c before anything starts, constant afterwards.
 */
#ifndef SERVE_SETTINGS_H
#define SERVE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The choices of --precision and of a manifest's `precision`, as percept_options has them. */
static inline const char *settings_precision(int choice)
{
    return choice == 2 ? "bf16" : choice == 1 ? "fast" : "exact";
}

struct percept_budget;

struct settings {
    int workers;       /* threads that compute, one a core */
    int load_threads;  /* models loaded at a time */
    const char *level; /* of kernels; NULL: the best */
    int precision;     /* where a manifest says nothing; settings_precision names it */
    const char *region_prefix;
    bool private_regions;
    bool keep_regions;             /* packed weights survive us */
    int64_t keep_age_ms;           /* for so long */
    size_t memory_limit_bytes;     /* of one session's tensors */
    size_t memory_total_bytes;     /* of all sessions, bodies and what is made of these; 0: as the system allows */
    struct percept_budget *budget; /* of that; NULL: none */
    size_t sequence_memory_bytes;  /* that all sequences keep; 0: no limit */
    int64_t max_idle_ms;           /* a model that nobody has asked for so long is unloaded; 0: never */
    size_t max_resident_bytes;     /* of models in memory; 0: no limit */
    int max_batch_size;            /* where a manifest says nothing */
    int max_queue_size;            /* jobs waiting per model */
    size_t max_queue_bytes;        /* of bodies waiting per model; 0: eight times the largest */
    int64_t max_queue_delay_us;    /* where a manifest says nothing; 0: never wait for more */
    bool no_recognise;             /* models without a manifest are served as tensors */
    bool no_learn;                 /* batches are as large as they can be, whatever that brings */
    int64_t default_timeout_us;    /* of a request, from its arrival; 0: none */
    size_t max_body_bytes;
    int64_t max_pixels;        /* of a posted picture, before resizing */
    int64_t max_audio_seconds; /* of a posted sound */
    int max_connections;
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
    int64_t drain_delay_ms;   /* between "not ready" and closing the door */
    int64_t drain_timeout_ms; /* then requests still running are abandoned */
    bool strict_readiness;
    bool ready_when_empty;
    bool load_none;                 /* but what is asked for by name */
    bool admin;                     /* endpoints that change the server are allowed */
    const char *api_key_file;       /* NULL: no key needed */
    const char *tls_cert, *tls_key; /* files; NULL: no TLS */
    const char *tls_client_ca;      /* whose clients are let in; NULL: any */
    const char *client_shm; /* how names of clients' shared memory begin, with commas between; NULL: not served */
    bool access_log;        /* a line for each request */
    bool no_page;           /* browsers get what programs get */
    const char *const *trusted_proxies; /* addresses, ranges, "unix" */
    int n_trusted_proxies;
    const char *const *cors_origins; /* whose pages may ask from a browser; "*": all */
    int n_cors_origins;
    const char *base_path; /* in front of all paths, and may be left out; or NULL */
    const char *server_id; /* "name" of GET /v2 */
};

#endif
