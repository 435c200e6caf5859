/*
 * team.h - fork-join over the cores that a run was granted. The leader (the thread that runs the
 * session) offers a range of independent pieces; helpers that are there claim chunks of it. The leader
 * claims as well and never waits for a helper that has not begun: with none it does all itself.
 * Results must not depend on who computes what (kernel.h's contract about bits).
 *
 * A team that is given a watch hands out pieces in chunks of a few milliseconds, and none once the watch
 * is over: the range is then left unfinished, and whoever set the watch must ask it.
 */
#ifndef BASE_TEAM_H
#define BASE_TEAM_H

#include "base/watch.h"
#include "percept.h"

#define TEAM_MAX 16 /* members of one team, the leader included */

/* work(arg, from, to, member): pieces [from, to); member < TEAM_MAX tells concurrent callers apart. */
typedef void team_work(void *arg, int64_t from, int64_t to, int member);

/* Runs pieces [0, n), at least `grain` at a time where more than one member works. team may be NULL. With a
 * watch that is over, some of them or none. */
void team_split(struct percept_team *team, int64_t n, int64_t grain, team_work *work, void *arg);

/* Gives the team a watch, or takes it away with NULL: between ranges, by the leader. */
void team_watch(struct percept_team *team, struct watch *watch);

/* Until the next call ranges are known to be over within a few milliseconds: a watch does not cut them. */
void team_brief(struct percept_team *team, bool brief);

/* Members that a team made now admits: TEAM_MAX, or as many as there are processors. */
int team_most(void);

/* percept_team_new for a given number of members, the leader included: [1, TEAM_MAX]. */
struct percept_team *team_new(int most, struct percept_err *err);

/* Members that this team admits; 1 for NULL. */
int team_limit(const struct percept_team *team);

/* Helpers inside right now plus the leader. */
int team_size(const struct percept_team *team);

#endif
