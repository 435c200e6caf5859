/*
 * team.c - the only file of the library with threads meeting in it. One leader at a time offers a range,
 * helpers that are there claim chunks of it. All meet in one word:
 *
 *     | epoch, 24 bits | OPEN | CLOSED | inside, 6 bits |
 *
 *     leader    writes the range, epoch + 1 and OPEN; claims chunks until none is left; takes OPEN away,
 *               so that nobody comes in any more; waits until `inside` is 0. Then the range is his again.
 *     helper    sees OPEN and an epoch that it has not worked for: inside + 1 by compare-and-swap, so it
 *               is in before OPEN goes or not at all; claims chunks until none is left or CLOSED comes; inside - 1.
 *
 * A chunk is a number of blocks of `grain` pieces. Without a watch it is a fixed share of the range. With one
 * nobody knows how long a block takes: a member begins with one block and takes more at a time while these
 * are over in much less than CHUNK_NS, so that a chunk lasts a few milliseconds whatever the work is (unless
 * a single block takes longer), and short ranges cost a handful of calls.
 *
 * So a helper that was not inside never sees the range, and the leader waits for no one else. A chunk
 * is claimed by adding to `next`. What a helper computed is visible to the leader because leaving
 * releases the word and the leader acquires it; the range is visible to the helper the other way round.
 * An epoch that comes round after 2^24 ranges costs a sleeper one range, nothing more.
 *
 * Waiting is a short spin, since ranges follow each other within microseconds, and then a futex on the
 * word; `sleepers` says whether a wake-up call is worth a system call. It is raised before sleeping
 * and read after changing the word, both sequentially consistent: one of the two sees the other.
 *
 * A team belongs to whoever made it; it must be empty when it is freed. Ranges do not nest.
 */
#include "base/team.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mode.h"

#define EPOCH_SHIFT 8
#define OPEN 0x80u
#define CLOSED 0x40u
#define INSIDE 0x3fu
#define NEVER UINT_MAX /* no epoch */

#define SPINS 2000
#define CHUNK_NS 3000000
#define CHUNK_GROWTH 4
#define CHUNKS_EACH 4 /* so that a member that is interrupted does not hold up the others for long */

struct percept_team {
    _Atomic uint32_t word;
    atomic_uint sleepers;
    int most;            /* members that are admitted, the leader included */
    atomic_uint members; /* bit m: member m is in percept_team_help; bit 0 is the leader's */

    /* the range: written by the leader while nobody is inside */
    team_work *work;
    void *arg;
    int64_t n, grain, n_blocks, most_blocks; /* at a time */
    uint64_t mode;                           /* the leader's, in which helpers compute too */
    struct watch *watch;
    bool brief;

    _Alignas(64) _Atomic int64_t next; /* block; by itself, as all members write to it */
};

struct percept_team *percept_team_new(struct percept_err *err)
{
    return team_new(team_most(), err);
}

struct percept_team *team_new(int most, struct percept_err *err)
{
    struct percept_team *team = arena_buffer(sizeof *team);
    if (!team) {
        err_memory(err, "a team", sizeof *team);
        return NULL;
    }
    team->most = most;
    atomic_init(&team->word, 0);
    atomic_init(&team->sleepers, 0);
    atomic_init(&team->members, 1);
    atomic_init(&team->next, 0);
    return team;
}

void percept_team_free(struct percept_team *team)
{
    assert(!team || atomic_load(&team->members) == 1);
    arena_buffer_free(team);
}

int team_most(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > TEAM_MAX ? TEAM_MAX : (int)cores;
}

int team_limit(const struct percept_team *team)
{
    return team ? team->most : 1;
}

int team_size(const struct percept_team *team)
{
    return team ? __builtin_popcount(atomic_load_explicit(&team->members, memory_order_relaxed)) : 1;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void wake_all(struct percept_team *team)
{
    if (atomic_load(&team->sleepers))
        syscall(SYS_futex, &team->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Returns when the word is no longer `seen`, or for no reason. */
static void await_change(struct percept_team *team, uint32_t seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&team->word, memory_order_relaxed) != seen)
            return;
        relax();
    }
    atomic_fetch_add(&team->sleepers, 1);
    syscall(SYS_futex, &team->word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&team->sleepers, 1);
}

/* --- working ------------------------------------------------------------------------------------------------------ */

/* How many blocks to take next when `n` of them took `ns`. */
static int64_t grown(int64_t n, int64_t ns, int64_t most)
{
    int64_t next = n * CHUNK_GROWTH;
    if (ns > CHUNK_NS / CHUNK_GROWTH)
        next = (int64_t)((double)n * CHUNK_NS / (double)ns);
    return next < 1 ? 1 : next > most ? most : next;
}

/* Pieces of blocks [i, end); the last block has the rest as well. */
static void work_on(const struct percept_team *team, int64_t i, int64_t end, int member)
{
    team->work(team->arg, i * team->grain, end == team->n_blocks ? team->n : end * team->grain, member);
}

/* A helper that has begun a chunk ends it; the leader does what is left of the range. */
static bool sent_home(struct percept_team *team)
{
    return atomic_load_explicit(&team->word, memory_order_relaxed) & CLOSED;
}

static void claim_chunks(struct percept_team *team, int member)
{
    const bool timed = team->watch && !team->brief;
    int64_t most = team->most_blocks, n = timed ? 1 : most, since = timed ? watch_now_ns() : 0;
    while (watch_look(team->watch) && !(member > 0 && sent_home(team))) {
        int64_t i = atomic_fetch_add_explicit(&team->next, n, memory_order_relaxed);
        if (i >= team->n_blocks)
            return;
        int64_t end = i + n < team->n_blocks ? i + n : team->n_blocks;
        work_on(team, i, end, member);
        if (end == team->n_blocks)
            return;
        if (!timed)
            continue;
        int64_t now = watch_now_ns();
        n = grown(n, now - since, most);
        since = now;
    }
}

static void offer(struct percept_team *team)
{
    uint32_t before = atomic_fetch_add(&team->word, (1u << EPOCH_SHIFT) + OPEN);
    assert(!(before & (OPEN | INSIDE)));
    (void)before;
    wake_all(team);
    claim_chunks(team, 0);
    uint32_t word = atomic_fetch_and(&team->word, ~OPEN) & ~OPEN;
    while (word & INSIDE) {
        await_change(team, word);
        word = atomic_load_explicit(&team->word, memory_order_acquire);
    }
}

void team_split(struct percept_team *team, int64_t n, int64_t grain, team_work *work, void *arg)
{
    if (n <= 0)
        return;
    if (grain < 1)
        grain = 1;
    if (!team || n / grain < 2 || (team->brief && team->most == 1)) {
        if (!team || team->brief || watch_look(team->watch))
            work(arg, 0, n, 0);
        return;
    }
    team->work = work;
    team->arg = arg;
    team->n = n;
    team->grain = grain;
    team->n_blocks = n / grain;
    team->mode = mode_get();
    const bool alone = team->most == 1; /* no word, no waiting */
    int64_t share = team->n_blocks / (alone ? 1 : (int64_t)team_size(team) * CHUNKS_EACH);
    team->most_blocks = share > 1 ? share : 1;
    atomic_store_explicit(&team->next, 0, memory_order_relaxed);
    if (alone)
        claim_chunks(team, 0);
    else
        offer(team);
}

void team_watch(struct percept_team *team, struct watch *watch)
{
    if (team)
        team->watch = watch;
}

void team_brief(struct percept_team *team, bool brief)
{
    if (team)
        team->brief = brief;
}

/* The lowest free number, or -1 when the team is full. */
static int join(struct percept_team *team)
{
    unsigned members = atomic_load(&team->members);
    for (;;) {
        unsigned free = ~members & ((1u << team->most) - 1);
        if (!free)
            return -1;
        if (atomic_compare_exchange_weak(&team->members, &members, members | (free & -free)))
            return __builtin_ctz(free);
    }
}

static void work_inside(struct percept_team *team, int member)
{
    const uint64_t mode = mode_enter(team->mode);
    claim_chunks(team, member);
    mode_set(mode);
    uint32_t before = atomic_fetch_sub(&team->word, 1);
    if ((before & (OPEN | INSIDE)) == 1)
        wake_all(team);
}

void percept_team_help(struct percept_team *team)
{
    int member = join(team);
    if (member < 0)
        return;
    uint32_t done = NEVER;
    uint32_t word = atomic_load_explicit(&team->word, memory_order_acquire);
    while (!(word & CLOSED)) {
        if (!(word & OPEN) || word >> EPOCH_SHIFT == done) {
            await_change(team, word);
            word = atomic_load_explicit(&team->word, memory_order_acquire);
        } else if (atomic_compare_exchange_weak_explicit(&team->word, &word, word + 1, memory_order_acquire,
                                                         memory_order_acquire)) {
            done = word >> EPOCH_SHIFT;
            work_inside(team, member);
            word = atomic_load_explicit(&team->word, memory_order_acquire);
        }
    }
    atomic_fetch_and(&team->members, ~(1u << member));
}

void percept_team_close(struct percept_team *team)
{
    atomic_fetch_or(&team->word, CLOSED);
    wake_all(team);
}
