/* rest.c - any bytes as what is left of a sound, as another process may have written it: what is judged good can go on
 * with any piece, and what is left then is good again. */
#include "serve/sound_rest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define KNOBS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const float samples[256] = {0};
    struct speech_segment told[SPEECH_MOST];
    const struct speech_rules rules = SPEECH_RULES_DEFAULT;
    if (n < KNOBS)
        return 0;
    const struct manifest_audio audio = {.rate = 8000,
                                         .range = 1,
                                         .window = 1 + data[0],
                                         .hop = 1 + data[1],
                                         .context = data[2],
                                         .zeros_before = data[3],
                                         .zeros_after = data[4],
                                         .pad = data[5] & 1};
    const bool start = data[5] & 2, end = data[5] & 4;
    const int64_t n_samples = data[6];
    struct sound_rest *rest = calloc(1, sound_rest_bytes(&audio));
    const size_t room = sound_rest_bytes(&audio), some = n - KNOBS < room ? n - KNOBS : room;
    memcpy(rest, data + KNOBS, some);
    if (sound_rest_is_good(rest, &audio)) {
        const struct sound_cut cut = sound_rest_cut(rest, &audio, n_samples, start, end);
        if (cut.n_windows && (cut.n_windows - 1) * audio.hop + audio.context + audio.window > cut.total)
            abort();
        float *row = calloc((size_t)cut.total + 1, sizeof *row);
        sound_rest_join(rest, &cut, start, samples, 1, row);
        sound_rest_keep(rest, &audio, &cut, n_samples, start, row, rest);
        speech_window(&rest->speech, &rules, audio.rate, cut.first, (float)data[7] / 255, told);
        if (end)
            speech_end(&rest->speech, &rules, audio.rate, rest->n_posted, told);
        else if (!sound_rest_is_good(rest, &audio) && rest->n_posted < (int64_t)1 << 59 &&
                 rest->at < (int64_t)1 << 59 && rest->n_windows < (int64_t)1 << 59 && rest->speech.n < 1 << 28 &&
                 rest->speech.n_silent < 1 << 28)
            abort();
        free(row);
    }
    free(rest);
    return 0;
}
