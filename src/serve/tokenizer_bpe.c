/*
 * tokenizer_bpe.c - byte-pair encoding: a word's characters become ids, then the two neighbours whose merge has the
 * lowest rank become one, until none can. (Sennrich, Haddow and Birch, "Neural machine translation of rare words with
 * subword units", 2016; on bytes: Radford et al., 2019.)
 *
 * Pairs that can be merged wait in a heap by rank and place, and what is out of date is found out when it is taken, so
 * that n characters take n log n steps however long a word is.
 */
#include "base/err.h"
#include "base/utf8.h"
#include "serve/tokenizer_parts.h"

#define SYMBOL_UNITS 32 /* one character through the heap, in watch_spend's units */
#define STEPS_MOST 1024 /* of one look-up among the merges */
#define AFFIX_MOST 64   /* bytes of prefix and suffix */

struct symbol {
    int id, previous, next; /* -1: none; id is -1 once it was merged into another */
};

struct pair {
    int rank, at, id;
};

struct word {
    struct tokenizer_run *run;
    struct symbol *symbols;
    struct pair *heap;
    int n, n_heap;
};

/* --- merges ------------------------------------------------------------------------------------------------------- */

static size_t slot_of(const struct tokenizer *tokenizer, int left, int right)
{
    const uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    return (size_t)((hash ^ hash >> 29) * 0xbf58476d1ce4e5b9u >> 32) & (tokenizer->n_merge_slots - 1);
}

static const struct tokenizer_merge *find(const struct tokenizer *tokenizer, int left, int right)
{
    for (size_t slot = slot_of(tokenizer, left, right); tokenizer->merges[slot].rank >= 0;
         slot = (slot + 1) & (tokenizer->n_merge_slots - 1))
        if (tokenizer->merges[slot].left == left && tokenizer->merges[slot].right == right)
            return &tokenizer->merges[slot];
    return NULL;
}

static bool insert(struct tokenizer *tokenizer, const struct tokenizer_merge *merge, int rank, struct percept_err *err)
{
    size_t slot = slot_of(tokenizer, merge->left, merge->right);
    for (int i = 0; tokenizer->merges[slot].rank >= 0; i++) {
        if (tokenizer->merges[slot].left == merge->left && tokenizer->merges[slot].right == merge->right)
            break;
        if (i == STEPS_MOST)
            return err_set(err, ERR_CONFIG, "its merges are chosen so that a table of them is slow");
        slot = (slot + 1) & (tokenizer->n_merge_slots - 1);
    }
    tokenizer->merges[slot] = *merge;
    tokenizer->merges[slot].rank = rank;
    return true;
}

bool tokenizer_bpe_index(struct tokenizer *tokenizer, const struct tokenizer_merge *merges, size_t n,
                         struct arena *arena, struct percept_err *err)
{
    tokenizer->n_merge_slots = 16;
    while (tokenizer->n_merge_slots < 2 * n)
        tokenizer->n_merge_slots *= 2;
    tokenizer->merges = arena_array(arena, tokenizer->n_merge_slots, sizeof *tokenizer->merges);
    if (!tokenizer->merges)
        return err_memory(err, "merges", tokenizer->n_merge_slots * sizeof *tokenizer->merges);
    for (size_t i = 0; i < tokenizer->n_merge_slots; i++)
        tokenizer->merges[i].rank = -1;
    for (size_t i = 0; i < n; i++)
        if (!insert(tokenizer, &merges[i], (int)i, err))
            return false;
    return true;
}

bool tokenizer_bpe_merge(const struct tokenizer *tokenizer, struct bytes left, struct bytes right,
                         struct tokenizer_merge *merge, struct percept_err *err)
{
    const struct tokenizer_vocab *vocab = &tokenizer->vocab;
    const size_t cut = bytes_size(tokenizer->prefix);
    const size_t n_left = bytes_size(left), n_right = bytes_size(right);
    uint8_t joined[4096];
    merge->left = tokenizer_vocab_find(vocab, left);
    merge->right = tokenizer_vocab_find(vocab, right);
    if (merge->left < 0 || merge->right < 0)
        return err_set(err, ERR_CONFIG, "a merge has '" BYTES_FMT "', which is no token",
                       BYTES_ARG(merge->left < 0 ? left : right));
    if (n_right < cut || n_left + n_right - cut > sizeof joined)
        return err_set(err, ERR_CONFIG, "a merge of '" BYTES_FMT "' makes no token", BYTES_ARG(left));
    memcpy(joined, left.at, n_left);
    memcpy(joined + n_left, right.at + cut, n_right - cut);
    const struct bytes token = bytes_of(joined, n_left + n_right - cut);
    merge->id = tokenizer_vocab_find(vocab, token);
    return merge->id >= 0 ||
           err_set(err, ERR_CONFIG, "a merge makes '" BYTES_FMT "', which is no token", BYTES_ARG(token));
}

/* --- the heap ----------------------------------------------------------------------------------------------------- */

static bool before(struct pair a, struct pair b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void push(struct word *word, struct pair pair)
{
    int i = word->n_heap++;
    for (; i > 0 && before(pair, word->heap[(i - 1) / 2]); i = (i - 1) / 2)
        word->heap[i] = word->heap[(i - 1) / 2];
    word->heap[i] = pair;
}

static struct pair pop(struct word *word)
{
    const struct pair top = word->heap[0], last = word->heap[--word->n_heap];
    int i = 0;
    for (int child = 1; child < word->n_heap; child = 2 * i + 1) {
        if (child + 1 < word->n_heap && before(word->heap[child + 1], word->heap[child]))
            child++;
        if (!before(word->heap[child], last))
            break;
        word->heap[i] = word->heap[child];
        i = child;
    }
    word->heap[i] = last;
    return top;
}

static void consider(struct word *word, int at)
{
    const int next = at >= 0 ? word->symbols[at].next : -1;
    if (next < 0)
        return;
    const struct tokenizer_merge *merge = find(word->run->tokenizer, word->symbols[at].id, word->symbols[next].id);
    if (merge)
        push(word, (struct pair){merge->rank, at, merge->id});
}

static void merge_all(struct word *word)
{
    for (int i = 0; i < word->n; i++)
        consider(word, i);
    while (word->n_heap) {
        const struct pair pair = pop(word);
        struct symbol *left = &word->symbols[pair.at];
        if (left->id < 0 || left->next < 0)
            continue;
        struct symbol *right = &word->symbols[left->next];
        const struct tokenizer_merge *merge = find(word->run->tokenizer, left->id, right->id);
        if (!merge || merge->id != pair.id)
            continue; /* one of the two is another since */
        left->id = pair.id;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0)
            word->symbols[left->next].previous = pair.at;
        consider(word, left->previous);
        consider(word, pair.at);
    }
}

/* --- words -------------------------------------------------------------------------------------------------------- */

static void add(struct word *word, int id)
{
    const int at = word->n++;
    word->symbols[at] = (struct symbol){id, at - 1, -1};
    if (at)
        word->symbols[at - 1].next = at;
}

/* The ids of a character's bytes; false when there is one that has none. */
static bool add_bytes(struct word *word, struct bytes character)
{
    const int *ids = word->run->tokenizer->byte_ids;
    for (const uint8_t *at = character.at; at < character.end; at++)
        if (ids[*at] < 0)
            return false;
    for (const uint8_t *at = character.at; at < character.end; at++)
        add(word, ids[*at]);
    return true;
}

static int id_of(const struct tokenizer *tokenizer, struct bytes character, bool first, bool last)
{
    uint8_t token[2 * AFFIX_MOST + UTF8_MAX];
    size_t n = 0;
    const struct bytes parts[] = {first ? (struct bytes){0} : tokenizer->prefix, character,
                                  last ? tokenizer->suffix : (struct bytes){0}};
    for (int i = 0; i < 3; i++) {
        if (bytes_size(parts[i]))
            memcpy(token + n, parts[i].at, bytes_size(parts[i]));
        n += bytes_size(parts[i]);
    }
    return tokenizer_vocab_find(&tokenizer->vocab, bytes_of(token, n));
}

/* An unknown token waits, since those that follow may become one with it. */
static void begin(struct word *word, struct bytes piece)
{
    const struct tokenizer *tokenizer = word->run->tokenizer;
    bool waits = false;
    for (const uint8_t *at = piece.at, *next; at < piece.end; at = next) {
        uint32_t code;
        next = utf8_read(at, piece.end, &code);
        const struct bytes character = {at, next};
        const int id = id_of(tokenizer, character, at == piece.at, next == piece.end);
        if (id < 0 && tokenizer->byte_fallback && add_bytes(word, character))
            continue;
        if (waits && (id >= 0 || !tokenizer->fuse_unknown))
            add(word, tokenizer->unknown);
        waits = id < 0 && tokenizer->unknown >= 0;
        if (id >= 0)
            add(word, id);
    }
    if (waits)
        add(word, tokenizer->unknown);
}

bool tokenizer_bpe_cut(struct tokenizer_run *run, struct bytes piece)
{
    const size_t n = bytes_size(piece);
    const int whole = run->tokenizer->ignore_merges ? tokenizer_vocab_find(&run->tokenizer->vocab, piece) : -1;
    if (whole >= 0)
        return tokenizer_put(run, whole);
    if (!watch_spend(run->row->watch, SYMBOL_UNITS * (int64_t)n))
        return watch_refuse(run->row->watch, run->err);
    const size_t symbols = n * sizeof(struct symbol);
    uint8_t *scratch = tokenizer_scratch(run, symbols + 3 * n * sizeof(struct pair));
    if (!scratch)
        return false;
    struct word word = {.run = run, .symbols = (void *)scratch, .heap = (void *)(scratch + symbols)};
    begin(&word, piece);
    merge_all(&word);
    for (int i = 0; i < word.n; i++)
        if (word.symbols[i].id >= 0 && !tokenizer_put(run, word.symbols[i].id))
            return false;
    return true;
}
