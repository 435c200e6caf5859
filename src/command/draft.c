/*
 * draft.c - `perceptd manifest MODEL`: what a model says of itself, by its own notes and by the files beside it, as a
 * manifest.json to keep and to edit. Where nothing is certain it names the inputs, and says what the model looks like.
 *
 * The text is the one that the daemon reads when it recognises the model itself (serve/recognise.h).
 */
#include <stdio.h>
#include <stdlib.h>

#include "command/command.h"
#include "serve/recognise.h"

int draft_command(const struct options *options)
{
    struct percept_err err = {0};
    struct arena arena = {0};
    struct command_place place;
    double ms;
    struct percept_model *model = command_open_at(options, &arena, &place, &ms, &err);
    if (!model)
        return command_fail(&err);
    struct recognise recognise = {.model = model, .path = place.path, .folder = place.folder, .arena = &arena};
    const bool good = recognise_model(&recognise, &err);
    if (good)
        fputs(recognise.text, stdout);
    arena_free(&arena);
    percept_close(model);
    return good ? EXIT_SUCCESS : command_fail(&err);
}
