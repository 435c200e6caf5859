/*
 * tokenizer_files.c - tokenizers from vocab.txt, or vocab.json and merges.txt. Threads: a loader's.
 */
#include "serve/tokenizer_files.h"

#include "base/err.h"
#include "serve/lines.h"
#include "serve/tokenizer_parts.h"

static void add_step(struct tokenizer_steps *steps, struct tokenizer_step step)
{
    steps->at[steps->n++] = step;
}

static struct tokenizer *begin(const struct tokenizer_files *files, struct arena *arena, struct percept_err *err)
{
    struct tokenizer *tokenizer = arena_alloc(arena, sizeof *tokenizer);
    struct bytes *tokens = arena_array(arena, (size_t)files->n_tokens, sizeof *tokens);
    if (!tokenizer || !tokens)
        return err_null(err, ERR_MEMORY, "out of memory for a vocabulary");
    for (int i = 0; i < files->n_tokens; i++)
        tokens[i] = bytes_of_text(files->tokens[i]);
    *tokenizer = (struct tokenizer){
        .vocab = {.n = files->n_tokens, .tokens = tokens}, .unknown = (int)files->unknown, .start = -1, .end = -1};
    if (!tokenizer_vocab_index(&tokenizer->vocab, arena, err))
        return NULL;
    if (files->normalize == UNICODE_NFKC_CASEFOLD)
        return err_null(err, ERR_CONFIG, "normalize nfkc_casefold is for words, characters and bytes");
    if (files->normalize != UNICODE_AS_IS)
        add_step(&tokenizer->normalizers,
                 (struct tokenizer_step){.kind = NORMALIZER_NFC + (int)files->normalize - (int)UNICODE_NFC});
    return tokenizer;
}

const struct tokenizer *tokenizer_files_wordpiece(const struct tokenizer_files *files, struct arena *arena,
                                                  struct percept_err *err)
{
    struct tokenizer *tokenizer = begin(files, arena, err);
    if (!tokenizer)
        return NULL;
    tokenizer->kind = MODEL_WORDPIECE;
    tokenizer->prefix = bytes_of_text("##");
    tokenizer->word_max = 100;
    if (tokenizer->unknown < 0)
        tokenizer->unknown = tokenizer_vocab_find(&tokenizer->vocab, bytes_of_text("[UNK]"));
    add_step(&tokenizer->normalizers, (struct tokenizer_step){.kind = NORMALIZER_BERT,
                                                              .clean_text = true,
                                                              .chinese = true,
                                                              .strip_accents = -1,
                                                              .lowercase = files->lowercase});
    add_step(&tokenizer->splitters, (struct tokenizer_step){.kind = SPLITTER_BERT});
    add_step(&tokenizer->decoders,
             (struct tokenizer_step){.kind = DECODER_WORDPIECE, .from = tokenizer->prefix, .cleanup = true});
    return tokenizer_finish(tokenizer, arena, err) ? tokenizer : NULL;
}

static bool read_merges(struct tokenizer *tokenizer, const struct tokenizer_files *files,
                        const struct file_place *place, struct arena *arena, struct percept_err *err)
{
    const char *const *lines;
    const int n = lines_read(place, files->merges, arena, &lines, err);
    struct tokenizer_merge *merges = n < 0 ? NULL : arena_array(arena, (size_t)n + 1, sizeof *merges);
    size_t n_merges = 0;
    if (n < 0)
        return false;
    if (!merges)
        return err_memory(err, "merges", (size_t)n * sizeof *merges);
    for (int i = 0; i < n; i++) {
        const char *space = strchr(lines[i], ' ');
        if (strncmp(lines[i], "#version", 8) == 0 || !*lines[i])
            continue;
        if (!space || strchr(space + 1, ' '))
            return err_set(err, ERR_CONFIG, "'%s': line %d is not two tokens with a space between", files->merges,
                           i + 1);
        const struct bytes left = bytes_of(lines[i], (size_t)(space - lines[i]));
        if (!tokenizer_bpe_merge(tokenizer, left, bytes_of_text(space + 1), &merges[n_merges++], err))
            return err_prefix(err, "'%s': line %d: ", files->merges, i + 1);
    }
    return tokenizer_bpe_index(tokenizer, merges, n_merges, arena, err);
}

const struct tokenizer *tokenizer_files_bpe(const struct tokenizer_files *files, const struct file_place *place,
                                            struct arena *arena, struct percept_err *err)
{
    struct tokenizer *tokenizer = begin(files, arena, err);
    if (!tokenizer)
        return NULL;
    tokenizer->kind = MODEL_BPE;
    if (files->lowercase)
        add_step(&tokenizer->normalizers, (struct tokenizer_step){.kind = NORMALIZER_LOWERCASE});
    add_step(&tokenizer->splitters, (struct tokenizer_step){.kind = SPLITTER_BYTE_LEVEL, .use_regex = true});
    add_step(&tokenizer->decoders, (struct tokenizer_step){.kind = DECODER_BYTE_LEVEL});
    return read_merges(tokenizer, files, place, arena, err) && tokenizer_finish(tokenizer, arena, err) ? tokenizer
                                                                                                       : NULL;
}
