/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the firmware to clear memory after a reset that nobody announced. */
#ifndef SHOJI_BOOT_MEMORY_OVERWRITE_H
#define SHOJI_BOOT_MEMORY_OVERWRITE_H

/* Sets the request where the firmware knows it (TCG Platform Reset Attack Mitigation Specification 1.10,
 * section 4); elsewhere nothing happens. The request holds for the next boot alone, so it is made at each. */
void memory_overwrite_request(void);

#endif
