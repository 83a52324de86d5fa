/* SPDX-License-Identifier: Apache-2.0 */
/* LoadImage and StartImage on the OS loader's file. */
#include "boot/chain.h"

#include "boot/device_path.h"
#include "boot/heap.h"
#include "lib/strings.h"

#define WATCHDOG_SECONDS 300 /* what a boot manager sets before it starts an option (UEFI 2.10, 3.1.2) */

/* Gives the loader its command line, when the policy has one. It lives as long as the image. */
static bool set_options(EFI_HANDLE image, const char *options)
{
    if (!options[0])
        return true;
    EFI_LOADED_IMAGE_PROTOCOL *loaded = protocol_of(image, &loaded_image_guid);
    size_t characters = strlen(options) + 1;
    CHAR16 *wide = heap_allocate(NULL, characters * sizeof(CHAR16));
    if (!loaded || !wide)
        return false;
    for (size_t i = 0; i < characters; i++)
        wide[i] = (unsigned char)options[i];
    loaded->LoadOptions = wide;
    loaded->LoadOptionsSize = (UINT32)(characters * sizeof(CHAR16));
    return true;
}

/* Loads the image. NULL with a sentence when that fails. */
static EFI_HANDLE load(const struct esp *esp, const struct policy *policy, struct report *problem)
{
    EFI_DEVICE_PATH *rest = esp->path;
    EFI_HANDLE partition, image = NULL;
    EFI_STATUS found = firmware.services->LocateDevicePath(&disk_file_system_guid, &rest, &partition);
    if (EFI_ERROR(found) || !device_path_is_end(rest)) {
        report(problem, "The EFI system partition was not found again after the launch.");
        return NULL;
    }
    EFI_DEVICE_PATH *path = device_path_of_file(esp->path, policy->os_path);
    EFI_STATUS status = path ? firmware.services->LoadImage(FALSE, firmware.image, path, NULL, 0, &image)
                             : EFI_OUT_OF_RESOURCES;
    heap_release(NULL, path);
    if (status == EFI_SECURITY_VIOLATION || status == EFI_ACCESS_DENIED) {
        report(problem, "Secure Boot does not allow %s to run; sign it, or correct [os] path.",
               policy->os_path);
        return NULL;
    }
    if (EFI_ERROR(status)) {
        report(problem, "The OS loader %s cannot be loaded (status %llx); correct [os] path in policy.conf.",
               policy->os_path, (unsigned long long)status);
        return NULL;
    }
    return image;
}

void chain_start(const struct esp *esp, const struct policy *policy, struct report *problem)
{
    EFI_HANDLE image = load(esp, policy, problem);
    if (!image)
        return;
    if (!set_options(image, policy->os_options)) {
        report(problem, "There is not enough memory to start %s.", policy->os_path);
        return;
    }
    firmware.services->SetWatchdogTimer(WATCHDOG_SECONDS, 0, 0, NULL);
    EFI_STATUS status = firmware.services->StartImage(image, NULL, NULL);
    firmware.services->SetWatchdogTimer(0, 0, 0, NULL);
    report(problem, "The OS loader %s has come back (status %llx).", policy->os_path,
           (unsigned long long)status);
}
