/* SPDX-License-Identifier: Apache-2.0 */
/* Text on the firmware's linear screen, for panics only: the screen is the guest's at all other times. */
#ifndef SHOJI_CORE_SCREEN_H
#define SHOJI_CORE_SCREEN_H

#include "include/handoff.h"

/* Maps the screen while mapping is still possible. A machine without one is fine. */
void screen_start(const struct handoff_screen *screen);

/* Writes a line below the last one, from the top left corner. */
void screen_line(const char *text);

#endif
