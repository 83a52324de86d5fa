/* SPDX-License-Identifier: Apache-2.0 */
/* How a program that prepares a machine for the tests goes on. */
#ifndef SHOJI_TESTS_EFI_NEXT_H
#define SHOJI_TESTS_EFI_NEXT_H

#include "boot/firmware.h"

/* Starts \EFI\BOOT\NEXT.EFI of the disk that this program came from; returns its status. */
EFI_STATUS start_next(void);

#endif
