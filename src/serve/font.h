/*
 * font.h - letters as grids of FONT_WIDTH x FONT_HEIGHT points: what is written on pictures.
 *
 * Printable ASCII, drawn for this program; any other character is a frame. Constant data; any thread.
 */
#ifndef SERVE_FONT_H
#define SERVE_FONT_H

#include <stdint.h>

#define FONT_WIDTH 5
#define FONT_HEIGHT 9 /* the last two lie below the line */
#define FONT_STEP 6   /* from one letter to the next */

/* FONT_HEIGHT rows; the highest of FONT_WIDTH bits is the left one. */
const uint8_t *font_letter(uint32_t code);

#endif
