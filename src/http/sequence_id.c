/*
 * sequence_id.c - see sequence_id.h.
 */
#include "http/sequence_id.h"

#include "base/err.h"
#include "http/framing.h"
#include "http/query.h"

bool sequence_id_read(struct bytes text, struct job_sequence *id, struct percept_err *err)
{
    int64_t number = 0;
    id->asked = true;
    if (framing_number(text, &number) && number > 0) {
        id->number = (uint64_t)number;
        return true;
    }
    if (bytes_size(text) > 2 && *text.at == '"' && text.end[-1] == '"')
        text = (struct bytes){text.at + 1, text.end - 1};
    id->text = text;
    return !bytes_is(text, "0") || err_set(err, ERR_INVALID, "0 is no sequence's id");
}

bool sequence_id_query(const char *target, struct arena *arena, struct job_sequence *id, struct percept_err *err)
{
    struct bytes text;
    if (!query_flag(target, "sequence_start", &id->start) || !query_flag(target, "sequence_end", &id->end))
        return err_set(err, ERR_INVALID, "the query's 'sequence_start' and 'sequence_end' are true or false");
    if (!query_text(target, "sequence_id", arena, &text, err))
        return false;
    return !bytes_size(text) || bytes_is(text, "0") || sequence_id_read(text, id, err);
}
