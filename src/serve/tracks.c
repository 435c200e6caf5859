/* tracks.c - see tracks.h. */
#include "serve/tracks.h"

/* Of the box's class, not taken in this frame. */
static struct track *overlapping(struct tracks *tracks, const struct box *box)
{
    struct track *best = NULL;
    float most = TRACKS_OVERLAP;
    for (int i = 0; i < tracks->n; i++) {
        struct track *track = &tracks->at[i];
        if (track->seen == tracks->frame || track->box.index != box->index)
            continue;
        const float overlap = boxes_overlap(&track->box, box);
        if (overlap >= most && (overlap > most || !best)) {
            most = overlap;
            best = track;
        }
    }
    return best;
}

static struct track *begin(struct tracks *tracks)
{
    struct track *track = &tracks->at[0];
    if (tracks->n < TRACKS_MAX)
        track = &tracks->at[tracks->n++];
    else
        for (int i = 1; i < tracks->n; i++)
            if (tracks->at[i].seen < track->seen)
                track = &tracks->at[i];
    track->number = ++tracks->n_begun;
    return track;
}

static void end_resting(struct tracks *tracks)
{
    int n = 0;
    for (int i = 0; i < tracks->n; i++)
        if (tracks->frame - tracks->at[i].seen <= TRACKS_REST)
            tracks->at[n++] = tracks->at[i];
    tracks->n = n;
}

void tracks_follow(struct tracks *tracks, const struct box *boxes, int n, int64_t *numbers)
{
    tracks->frame++;
    end_resting(tracks);
    for (int i = 0; i < n; i++) {
        struct track *track = overlapping(tracks, &boxes[i]);
        if (!track)
            track = begin(tracks);
        track->box = boxes[i];
        track->seen = tracks->frame;
        numbers[i] = track->number;
    }
}
