/*
 * outline.c - see outline.h. A line begins at an upper edge of a pixel along which none has run yet, and is followed
 * with the inside to its right until it is there again. Each line, that of a hole too, has such an edge, so that one
 * look at each pixel finds all of them, of whatever value.
 */
#include "serve/outline.h"

#include <string.h>

void outline_push(struct outline_numbers *numbers, int64_t number)
{
    if (numbers->n == numbers->room) {
        const size_t room = numbers->room ? numbers->room * 2 : 64, size = sizeof *numbers->at;
        uint32_t *grown = arena_grow(numbers->arena, numbers->at, numbers->room * size, room * size);
        numbers->failed |= !grown;
        if (!grown)
            return;
        numbers->at = grown;
        numbers->room = room;
    }
    numbers->at[numbers->n++] = (uint32_t)number;
}

static bool has(const struct outline_map *map, int64_t x, int64_t y, uint8_t value)
{
    return x >= 0 && x < map->width && y >= 0 && y < map->height && map->at[y * map->width + x] == value;
}

/* From the upper left corner of a pixel eastwards. */
static bool follow(const struct outline_map *map, int64_t from_x, int64_t from_y, uint8_t *been,
                   struct outline_numbers *numbers, struct watch *watch)
{
    static const int east[] = {1, 0, -1, 0}, south[] = {0, 1, 0, -1};        /* the directions, clockwise */
    static const int right_x[] = {0, -1, -1, 0}, right_y[] = {0, 0, -1, -1}; /* the pixel ahead, to the right */
    static const int left_x[] = {0, 0, -1, -1}, left_y[] = {-1, 0, 0, -1};   /* and to the left */
    const uint8_t value = map->at[from_y * map->width + from_x];
    const size_t head = numbers->n;
    int64_t x = from_x, y = from_y;
    int way = 0;
    outline_push(numbers, value);
    outline_push(numbers, 0);
    do {
        if (way == 0)
            been[y * map->width + x] = 1;
        x += east[way];
        y += south[way];
        int turn = 0;
        if (!has(map, x + right_x[way], y + right_y[way], value))
            turn = 1;
        else if (has(map, x + left_x[way], y + left_y[way], value))
            turn = 3;
        way = (way + turn) % 4;
        if (turn) {
            outline_push(numbers, map->left + x);
            outline_push(numbers, map->top + y);
        }
        if (!watch_spend(watch, 2))
            return false;
    } while ((x != from_x || y != from_y || way != 0) && !numbers->failed);
    if (!numbers->failed)
        numbers->at[head + 1] = (uint32_t)((numbers->n - head) / 2 - 1);
    return true;
}

bool outline_trace(const struct outline_map *map, int first, uint8_t *been, struct outline_numbers *numbers,
                   struct watch *watch)
{
    for (int64_t y = 0; y < map->height; y++) {
        if (!watch_spend(watch, map->width / 2))
            return false;
        memset(been + y * map->width, 0, (size_t)map->width);
    }
    for (int64_t y = 0; y < map->height; y++) {
        if (!watch_spend(watch, map->width / 2))
            return false;
        for (int64_t x = 0; x < map->width && !numbers->failed; x++) {
            const uint8_t value = map->at[y * map->width + x];
            if (value >= first && !been[y * map->width + x] && !has(map, x, y - 1, value) &&
                !follow(map, x, y, been, numbers, watch))
                return false;
        }
    }
    return true;
}
