/* SPDX-License-Identifier: Apache-2.0 */
/* Keys are wiped before every reset that goes through the hypervisor; a reset button or a watchdog does not.
 */
#include "boot/memory_overwrite.h"

#include "boot/firmware.h"

#define REQUEST_CLEAR 1 /* bit 0 of the one byte */

static EFI_GUID control_guid = {0xe20939be, 0x32d4, 0x41be, {0xa1, 0x50, 0x89, 0x7f, 0x85, 0xd4, 0x98, 0x29}};
static CHAR16 control_name[] = L"MemoryOverwriteRequestControl";

void memory_overwrite_request(void)
{
    EFI_RUNTIME_SERVICES *runtime = firmware.table->RuntimeServices;
    uint8_t control = 0;
    UINTN size = sizeof(control);
    UINT32 attributes = 0;
    EFI_STATUS status = runtime->GetVariable(control_name, &control_guid, &attributes, &size, &control);
    if (EFI_ERROR(status) || (control & REQUEST_CLEAR))
        return; /* firmware that can do it has made the variable */
    control |= REQUEST_CLEAR;
    (void)runtime->SetVariable(control_name, &control_guid, attributes, size, &control);
}
