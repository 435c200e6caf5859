/*
 * accept.c - the reading of lists with weights. Nobody is refused for such a header: what makes no sense counts as if
 * its weight were not there.
 */
#include "serve/accept.h"

/* Cuts off and returns what is before `mark`, without blanks around it. */
static struct bytes next_part(struct bytes *text, char mark)
{
    const uint8_t *at = bytes_size(*text) ? memchr(text->at, mark, bytes_size(*text)) : NULL;
    struct bytes part = {text->at, at ? at : text->end};
    text->at = at ? at + 1 : text->end;
    while (part.at < part.end && (*part.at == ' ' || *part.at == '\t'))
        part.at++;
    while (part.at < part.end && (part.end[-1] == ' ' || part.end[-1] == '\t'))
        part.end--;
    return part;
}

/* "0.25" -> 250; anything else is 1000. */
static int weight_of(struct bytes text)
{
    int weight = 0, unit = ACCEPT_WEIGHT_MAX;
    for (const uint8_t *at = text.at; at < text.end; at++) {
        if (*at == '.' && at == text.at + 1)
            continue;
        if (*at < '0' || *at > '9')
            return ACCEPT_WEIGHT_MAX;
        weight += unit * (*at - '0');
        unit /= 10;
    }
    return weight > ACCEPT_WEIGHT_MAX ? ACCEPT_WEIGHT_MAX : weight;
}

bool accept_next(struct bytes *list, struct accept_range *range)
{
    if (!bytes_size(*list))
        return false;
    struct bytes entry = next_part(list, ',');
    *range = (struct accept_range){.name = next_part(&entry, ';'), .weight = ACCEPT_WEIGHT_MAX};
    while (bytes_size(entry)) {
        struct bytes parameter = next_part(&entry, ';');
        if (bytes_size(parameter) > 2 && (*parameter.at | 0x20) == 'q' && parameter.at[1] == '=')
            range->weight = weight_of((struct bytes){parameter.at + 2, parameter.end});
    }
    return true;
}
