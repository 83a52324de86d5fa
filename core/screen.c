/* SPDX-License-Identifier: Apache-2.0 */
#include "core/screen.h"

#include "core/memory.h"

#define GLYPH_WIDTH  8u
#define GLYPH_HEIGHT 19u
#define FIRST_GLYPH  ' '
#define INK          0x00ffffffu
#define PAPER        0x00800000u

static const struct handoff_screen *font;
static volatile uint32_t *pixels; /* NULL: no screen */
static uint32_t next_row;         /* in pixels */

/* The device window is small: as many lines as fit are mapped. */
#define MAPPED_ROWS (GLYPH_HEIGHT * 40u)

void screen_start(const struct handoff_screen *screen)
{
    if (!screen->base || !screen->font_present)
        return;
    uint32_t rows = MIN(screen->height, MAPPED_ROWS);
    pixels = device_map(screen->base, (size_t)rows * screen->pixels_per_line * sizeof(uint32_t));
    font = screen;
}

static void draw(uint32_t x, uint32_t y, char c)
{
    unsigned glyph = (unsigned char)c - FIRST_GLYPH;
    if (glyph >= ARRAY_COUNT(font->glyphs))
        glyph = '?' - FIRST_GLYPH;
    for (uint32_t row = 0; row < GLYPH_HEIGHT; row++)
        for (uint32_t column = 0; column < GLYPH_WIDTH; column++)
            pixels[(y + row) * font->pixels_per_line + x + column] =
                font->glyphs[glyph][row] & (0x80u >> column) ? INK : PAPER;
}

void screen_line(const char *text)
{
    if (!pixels || next_row + GLYPH_HEIGHT > MIN(font->height, MAPPED_ROWS))
        return;
    for (uint32_t x = 0; *text && x + GLYPH_WIDTH <= font->width; x += GLYPH_WIDTH)
        draw(x, next_row, *text++);
    next_row += GLYPH_HEIGHT;
}
