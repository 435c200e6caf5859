/*
 * v2_cuda.c - the CUDA shared memory extension, of a server that has no GPU: nothing can be registered, so nothing is.
 * Clients look at the words. Thread: the loop.
 */
#include "http/exchange.h"
#include "http/routes.h"

void v2_cuda_status(struct exchange *exchange)
{
    if (*exchange->name)
        exchange_refuse(exchange, ERR_NOT_FOUND, "Unable to find cuda shared memory region: '%s'", exchange->name);
    else
        exchange_reply(exchange, 200, "application/json", bytes_of_text("[]\n"));
}

void v2_cuda_register(struct exchange *exchange)
{
    exchange_refuse(exchange, ERR_INVALID, "failed to register CUDA shared memory region: '%s', GPUs not supported",
                    exchange->name);
}

/* One that is not there needs no letting go. */
void v2_cuda_unregister(struct exchange *exchange)
{
    exchange_reply(exchange, 200, "application/json", (struct bytes){0});
}
