/*
 * tokenizer_parts.h - what the files of the tokenizers share and nobody else sees: the parts of one, and a text on its
 * way through them.
 *
 * The order of things is that of Hugging Face's tokenizers: added tokens are found in the text as it is; what lies
 * between is normalized, step by step; added tokens that are said to be normalized are found in that; what lies between
 * is split by each splitter in turn, and each of these pieces is cut by the model. Pieces are handed on as they are
 * found, so no list of them is made.
 */
#ifndef SERVE_TOKENIZER_PARTS_H
#define SERVE_TOKENIZER_PARTS_H

#include "serve/tokenizer_row.h"
#include "serve/unicode.h"

#define TOKENIZER_STEPS_MAX 16                /* normalizers; and so many splitters, decoders */
#define TOKENIZER_PIECE_MAX ((size_t)1 << 20) /* bytes of a text that a model takes at once */
#define TOKENIZER_IDS_MAX (1 << 24)
#define TOKENIZER_WORD_MAX 1024 /* characters of a word that WordPiece cuts */

/* --- vocabularies: tokenizer_vocab.c ------------------------------------------------------------------------------ */

struct tokenizer_vocab {
    int n;                /* ids are below it */
    struct bytes *tokens; /* by id; at is NULL where there is none */
    size_t longest;       /* of a token, in bytes */
    size_t n_slots;
    int *slots; /* by hash: 1 + id; 0 is free */
};

/* FNV-1a, which grows byte by byte: the hashes of all beginnings of a text cost no more than that of the text. */
#define TOKENIZER_HASH 0xcbf29ce484222325u

static inline uint64_t tokenizer_hash(uint64_t hash, uint8_t byte)
{
    return (hash ^ byte) * 0x100000001b3u;
}

/* Makes the look-up of tokens that are there; two that are equal are refused. */
bool tokenizer_vocab_index(struct tokenizer_vocab *vocab, struct arena *arena, struct percept_err *err);

/* The id of a token; -1: it is none. The hash is its. */
int tokenizer_vocab_find(const struct tokenizer_vocab *vocab, struct bytes token);
int tokenizer_vocab_at(const struct tokenizer_vocab *vocab, uint64_t hash, struct bytes token);

/* --- steps -------------------------------------------------------------------------------------------------------- */

enum tokenizer_normalizer {
    NORMALIZER_BERT,
    NORMALIZER_NFC,
    NORMALIZER_NFD,
    NORMALIZER_NFKC,
    NORMALIZER_NFKD,
    NORMALIZER_LOWERCASE,
    NORMALIZER_STRIP_ACCENTS,
    NORMALIZER_STRIP,
    NORMALIZER_PREPEND,
    NORMALIZER_REPLACE,
};

enum tokenizer_splitter {
    SPLITTER_BERT,
    SPLITTER_WHITESPACE,
    SPLITTER_WHITESPACE_SPLIT,
    SPLITTER_PUNCTUATION,
    SPLITTER_DIGITS,
    SPLITTER_DELIMITER,
    SPLITTER_BYTE_LEVEL,
    SPLITTER_METASPACE,
    SPLITTER_SPLIT,
};

enum tokenizer_decoder {
    DECODER_BYTE_LEVEL,
    DECODER_WORDPIECE,
    DECODER_METASPACE,
    DECODER_BPE,
    DECODER_REPLACE,
    DECODER_BYTE_FALLBACK,
    DECODER_FUSE,
    DECODER_STRIP,
};

/* What becomes of what a splitter finds. */
enum tokenizer_behavior {
    BEHAVIOR_REMOVED,
    BEHAVIOR_ISOLATED,
    BEHAVIOR_WITH_PREVIOUS,
    BEHAVIOR_WITH_NEXT,
    BEHAVIOR_CONTIGUOUS
};

enum tokenizer_scheme { SCHEME_ALWAYS, SCHEME_FIRST, SCHEME_NEVER };

/* A normalizer, splitter or decoder with its settings; each uses some. */
struct tokenizer_step {
    int kind;
    bool clean_text, chinese, lowercase; /* of BERT's normalizer */
    int strip_accents;                   /* 1: yes; -1: as lowercase */
    bool left, right;                    /* Strip */
    bool add_prefix_space, use_regex;    /* byte level */
    bool individual, split, cleanup, invert;
    int behavior, scheme;  /* enum tokenizer_behavior, tokenizer_scheme */
    int regex_digits;      /* of the expression that Llama 3 splits by: most digits together; 0: no expression */
    int start, stop;       /* of the decoder Strip */
    struct bytes from, to; /* what is replaced; what is put, a prefix, a delimiter */
};

struct tokenizer_steps {
    int n;
    struct tokenizer_step at[TOKENIZER_STEPS_MAX];
};

/* --- models ------------------------------------------------------------------------------------------------------- */

enum tokenizer_kind { MODEL_WORD_LEVEL, MODEL_WORDPIECE, MODEL_BPE, MODEL_UNIGRAM };

/* Two ids that become one: of lower ranks first. */
struct tokenizer_merge {
    int left, right, rank, id;
};

struct tokenizer_added {
    int id;
    bool lstrip, rstrip, special, normalized;
    struct bytes content;
};

/* Added tokens that are looked for together. */
struct tokenizer_finder {
    struct tokenizer_vocab vocab; /* ids: indices of tokenizer.added */
    bool begins[256];             /* first bytes */
};

struct tokenizer {
    enum tokenizer_kind kind;
    struct tokenizer_vocab vocab;
    int unknown;         /* -1: none */
    struct bytes prefix; /* of what goes on within a word */
    struct bytes suffix; /* BPE: of a word's last character */
    int word_max;        /* WordPiece: characters */
    bool fuse_unknown, byte_fallback, ignore_merges;
    int byte_ids[256];    /* <0x00> ... ; -1 */
    size_t n_merge_slots; /* BPE, by hash; rank is -1 where free */
    struct tokenizer_merge *merges;
    double *scores; /* unigram, by id */
    double lowest;
    struct tokenizer_steps normalizers, splitters, decoders;
    int n_added;
    struct tokenizer_added *added;
    struct tokenizer_finder raw, normalized;
    int start, end; /* -1: none */
};

/* A text on its way. */
struct tokenizer_run {
    const struct tokenizer *tokenizer;
    struct tokenizer_row *row;
    struct percept_err *err;
    const uint8_t *begin; /* where the text begins, while that is in the piece */
    struct unicode_text prefixed[TOKENIZER_STEPS_MAX], mapped[TOKENIZER_STEPS_MAX]; /* what splitters make of pieces */
    void *scratch;                                                                  /* the model's */
    size_t scratch_bytes;
};

/* Adds an id; false only on errors. */
bool tokenizer_put(struct tokenizer_run *run, int id);

/* Nothing more is wanted. */
static inline bool tokenizer_full(const struct tokenizer_run *run)
{
    return run->row->n >= run->row->most;
}

/* Memory for the model, kept for the next piece; not cleared. NULL: err is set. */
void *tokenizer_scratch(struct tokenizer_run *run, size_t n_bytes);

/* The ids of byte tokens for what the vocabulary lacks: false when it lacks one of these, too. */
bool tokenizer_put_bytes(struct tokenizer_run *run, struct bytes piece, bool *done);

/* tokenizer_normalize.c: `from` through all normalizers; the result lies in the arena, or is `from`. */
bool tokenizer_normalize(struct tokenizer_run *run, struct bytes from, struct bytes *to);

/* tokenizer_split.c: a piece from the `step`-th splitter on, and through the model. */
bool tokenizer_split(struct tokenizer_run *run, int step, struct bytes piece);

/* The digits that a split expression of a known text allows together; -1: it is another. */
int tokenizer_split_expression(struct bytes pattern);

/* Bytes as the visible characters of byte-level vocabularies, and back (-1: no such character). */
uint32_t tokenizer_split_code(uint8_t byte);
int tokenizer_split_byte(uint32_t code);

/* tokenizer_wordpiece.c, _bpe.c, _unigram.c: one piece, not empty. */
bool tokenizer_wordpiece_cut(struct tokenizer_run *run, struct bytes piece);
bool tokenizer_bpe_cut(struct tokenizer_run *run, struct bytes piece);
bool tokenizer_unigram_cut(struct tokenizer_run *run, struct bytes piece);

/* Makes the look-up of `n` merges, the rank being their order; a pair that comes twice has the later rank. */
bool tokenizer_bpe_index(struct tokenizer *tokenizer, const struct tokenizer_merge *merges, size_t n,
                         struct arena *arena, struct percept_err *err);

/* Reads a merge of two tokens into `merge`, `why` is for the error. */
bool tokenizer_bpe_merge(const struct tokenizer *tokenizer, struct bytes left, struct bytes right,
                         struct tokenizer_merge *merge, struct percept_err *err);

/* Looks for added tokens from now on, once all else is there. */
bool tokenizer_finish(struct tokenizer *tokenizer, struct arena *arena, struct percept_err *err);

#endif
