/* SPDX-License-Identifier: Apache-2.0 */
/* Does what firmware does whose user has switched VT-x off: locks IA32_FEATURE_CONTROL without it (SDM volume
 * 3C, section 23.7), then starts \EFI\BOOT\NEXT.EFI. */
#include "tests/system/efi/next.h"

#define MSR_FEATURE_CONTROL  0x3au
#define FEATURE_CONTROL_LOCK 1u

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
    firmware_start(image, table);
    __asm__ volatile("wrmsr" : : "c"(MSR_FEATURE_CONTROL), "a"(FEATURE_CONTROL_LOCK), "d"(0));
    return start_next();
}
