/* profile.h - what each step of a run took, beside what this machine could do: for `run` and `bench`. */
#ifndef COMMAND_PROFILE_H
#define COMMAND_PROFILE_H

#include "http/text.h"
#include "percept.h"

/* The least time of each step over several runs of a session that profiles. */
struct profile {
    struct percept_step_profile *steps; /* [n]; in the arena it was made in */
    int n, n_runs;
};

/* Adds the session's last run. Runs with other steps than the first one's are left out. */
bool profile_add(struct profile *profile, const struct percept_session *session, struct arena *arena,
                 struct percept_err *err);

/* A table of all steps in their order; below it sums by algorithm, the longest first. */
void profile_text(struct text *text, const struct profile *profile, const struct percept_machine *machine, int cores);

/* The same steps as a JSON array. */
void profile_json(struct text *text, const struct profile *profile, const struct percept_machine *machine, int cores);

#endif
