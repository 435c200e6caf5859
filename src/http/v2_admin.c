/*
 * v2_admin.c - the model repository extension. This version loads what the command line names and
 * nothing later, and says so: clients that control models get a sentence and 501, not a 404 that
 * looks like a wrong address. The gate (403 without --admin) is the route's flag, judged before
 * this is called.
 */
#include "http/exchange.h"
#include "http/routes.h"

void v2_admin_load(struct exchange *exchange)
{
    exchange_refuse(exchange, ERR_UNSUPPORTED,
                    "failed to load '%s': this version loads models when it starts; restart perceptd with "
                    "the model among its arguments",
                    exchange->name);
}

void v2_admin_unload(struct exchange *exchange)
{
    exchange_refuse(exchange, ERR_UNSUPPORTED,
                    "failed to unload '%s': this version keeps its models until it ends; restart perceptd "
                    "without it",
                    exchange->name);
}
