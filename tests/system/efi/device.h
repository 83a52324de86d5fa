/* SPDX-License-Identifier: Apache-2.0 */
/* The device of the test core (tests/system/core/device.c): a page of registers where no machine of ours has
 * any, and completions. */
#ifndef SHOJI_TESTS_SYSTEM_EFI_DEVICE_H
#define SHOJI_TESTS_SYSTEM_EFI_DEVICE_H

#define TEST_DEVICE          0xfed30000ull
#define TEST_DEVICE_ID       0x000u /* reads TEST_DEVICE_ID_VALUE */
#define TEST_DEVICE_ID_VALUE 0x54445453u
/* Written: bits 0-7 the CPU that the message goes to, 8-15 the vector that its completion raises there; 16-31
 * how many completions come with one message. */
#define TEST_DEVICE_COMPLETE 0x010u
#define TEST_DEVICE_CLAIMED  0x014u /* read: how many completions were claimed */
/* From here on the page keeps what is written, each access as it was made. */
#define TEST_DEVICE_MEMORY 0x400u

#endif
