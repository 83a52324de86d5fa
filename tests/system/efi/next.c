/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/system/efi/next.h"

#include "boot/device_path.h"

#define NEXT "\\EFI\\BOOT\\NEXT.EFI"

EFI_STATUS start_next(void)
{
    EFI_LOADED_IMAGE_PROTOCOL *loaded = protocol_of(firmware.image, &loaded_image_guid);
    EFI_DEVICE_PATH *device = loaded ? protocol_of(loaded->DeviceHandle, &device_path_guid) : NULL;
    EFI_DEVICE_PATH *path = device ? device_path_of_file(device, NEXT) : NULL;
    EFI_HANDLE next;
    if (!path)
        return EFI_UNSUPPORTED;
    EFI_STATUS status = firmware.services->LoadImage(FALSE, firmware.image, path, NULL, 0, &next);
    return EFI_ERROR(status) ? status : firmware.services->StartImage(next, NULL, NULL);
}
