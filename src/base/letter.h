/*
 * letter.h - capital and small letters, by Unicode's simple case mappings: one code point becomes one code
 * point, whatever the locale. What has no counterpart stays: a sharp s has no capital here.
 *
 * In UTF-8 a counterpart takes at most one byte more than the letter.
 */
#ifndef BASE_LETTER_H
#define BASE_LETTER_H

#include <stdint.h>

uint32_t letter_lower(uint32_t code);
uint32_t letter_upper(uint32_t code);

#endif
