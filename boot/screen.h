/* SPDX-License-Identifier: Apache-2.0 */
/* The screen and the font that the core draws a panic with. */
#ifndef SHOJI_BOOT_SCREEN_H
#define SHOJI_BOOT_SCREEN_H

#include "include/handoff.h"

/* Leaves the base zero where there is no linear screen of 32 bits a pixel, and font_present where the
 * firmware has no font to draw with. */
void screen_read(struct handoff_screen *out);

#endif
