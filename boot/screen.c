/* SPDX-License-Identifier: Apache-2.0 */
/* The graphics mode (EFI_GRAPHICS_OUTPUT_PROTOCOL) and the firmware's own glyphs (EFI_HII_FONT_PROTOCOL). */
#include "boot/screen.h"

#include "boot/firmware.h"

#define FIRST_CHARACTER ' '
#define GLYPH_WIDTH     8
#define GLYPH_HEIGHT    19
#define BRIGHT          0x40 /* the firmware draws in grey or white on black */

static void read_mode(struct handoff_screen *out)
{
    EFI_GRAPHICS_OUTPUT_PROTOCOL *graphics = NULL;
    if (firmware.table->ConsoleOutHandle)
        graphics = protocol_of(firmware.table->ConsoleOutHandle, &graphics_guid);
    if (!graphics)
        graphics = protocol_anywhere(&graphics_guid);
    if (!graphics || !graphics->Mode || !graphics->Mode->Info)
        return;
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *mode = graphics->Mode->Info;
    if (mode->PixelFormat != PixelRedGreenBlueReserved8BitPerColor &&
        mode->PixelFormat != PixelBlueGreenRedReserved8BitPerColor)
        return;
    uint64_t bytes = (uint64_t)mode->PixelsPerScanLine * mode->VerticalResolution * sizeof(uint32_t);
    if (mode->HorizontalResolution > mode->PixelsPerScanLine || bytes > graphics->Mode->FrameBufferSize)
        return;
    out->base = graphics->Mode->FrameBufferBase;
    out->width = mode->HorizontalResolution;
    out->height = mode->VerticalResolution;
    out->pixels_per_line = mode->PixelsPerScanLine;
}

static void copy_glyph(const struct hii_image *image, uint8_t rows[GLYPH_HEIGHT])
{
    for (unsigned y = 0; y < GLYPH_HEIGHT; y++) {
        rows[y] = 0;
        for (unsigned x = 0; x < GLYPH_WIDTH; x++) {
            const EFI_GRAPHICS_OUTPUT_BLT_PIXEL *pixel = &image->bitmap[(size_t)y * image->width + x];
            if (pixel->Red > BRIGHT || pixel->Green > BRIGHT || pixel->Blue > BRIGHT)
                rows[y] |= (uint8_t)(0x80 >> x);
        }
    }
}

static bool draw(const struct hii_font *font, CHAR16 character, uint8_t rows[GLYPH_HEIGHT])
{
    struct hii_image *image = NULL;
    if (EFI_ERROR(font->get_glyph(font, character, NULL, &image, NULL)) || !image)
        return false;
    bool fits = image->bitmap && image->width >= GLYPH_WIDTH && image->height >= GLYPH_HEIGHT;
    if (fits)
        copy_glyph(image, rows);
    if (image->bitmap)
        firmware.services->FreePool(image->bitmap);
    firmware.services->FreePool(image);
    return fits;
}

void screen_read(struct handoff_screen *out)
{
    *out = (struct handoff_screen){0};
    read_mode(out);
    const struct hii_font *font = protocol_anywhere(&hii_font_guid);
    bool drawn = out->base && font;
    for (unsigned i = 0; drawn && i < ARRAY_COUNT(out->glyphs); i++)
        drawn = draw(font, (CHAR16)(FIRST_CHARACTER + i), out->glyphs[i]);
    out->font_present = drawn;
}
