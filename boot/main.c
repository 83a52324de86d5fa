/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's sequence: check, find, log in, launch, start the OS. */
#include <shoji-config.h>

#include "boot/block.h"
#include "boot/chain.h"
#include "boot/config.h"
#include "boot/console.h"
#include "boot/controllers.h"
#include "boot/cpu.h"
#include "boot/files.h"
#include "boot/firmware.h"
#include "boot/handoff.h"
#include "boot/heap.h"
#include "boot/launch.h"
#include "boot/memory_overwrite.h"
#include "boot/sleep.h"
#include "boot/smp.h"
#include "boot/volume.h"
#include "crypto/port/port.h"
#include "lib/strings.h"

static_assert(POLICY_VOLUMES_MAX <= HANDOFF_VOLUMES_MAX, "each volume of the policy has its place");

/* All that the loader holds. Static: the other CPUs read parts of it. */
static struct boot {
    struct esp esp;
    struct policy policy;
    struct block block;
    struct volume volumes[POLICY_VOLUMES_MAX];
    struct launch launch;
    struct handoff_acpi acpi;
    uint32_t cpu_count;
} boot;

static bool start_crypto(struct report *problem)
{
    const struct crypto_surroundings surroundings = {
        .allocate = heap_allocate, .release = heap_release, .entropy = crypto_cpu_entropy};
    return crypto_start(&surroundings) || report(problem, "The cryptographic library did not start.");
}

/* Everything that can be said to be wrong before anybody types a passphrase. */
static bool check(struct report *problem)
{
    if (!cpu_check(problem) || !start_crypto(problem) || !core_image_check(problem) ||
        !esp_open(&boot.esp, problem) || !config_read(&boot.esp, &boot.policy, problem) ||
        !smp_prepare(&boot.cpu_count, problem) || !block_reserve(&boot.block, problem) ||
        !block_load(&boot.block, problem))
        return false;
    for (unsigned i = 0; i < boot.policy.volume_count; i++)
        if (!volume_find(&boot.volumes[i], &boot.policy.volumes[i], &boot.esp, problem))
            return false;
    if (boot.policy.os_path[0] && !file_exists(&boot.esp, boot.policy.os_path))
        return report(problem,
                      "The OS loader %s is missing; put it back, or correct [os] path in policy.conf.",
                      boot.policy.os_path);
    return true;
}

static bool log_in(struct report *problem)
{
    for (unsigned i = 0; i < boot.policy.volume_count; i++)
        if (!volume_unlock(&boot.volumes[i], &boot.esp, problem))
            return false;
    return true;
}

/* The boot CPU becomes the guest. The keys lie in the block alone from here on. */
static bool launch(struct report *problem)
{
    const unsigned volumes = boot.policy.volume_count;
    if (!handoff_fill(boot.block.handoff, &boot.policy, boot.volumes, boot.cpu_count, problem) ||
        !launch_prepare(&boot.launch, &boot.block, problem))
        return false;
    boot.acpi = boot.block.handoff->acpi;
    for (unsigned i = 0; i < volumes; i++)
        wipe(boot.volumes[i].place.key, sizeof(boot.volumes[i].place.key));
    esp_close(&boot.esp);
    if (volumes)
        memory_overwrite_request();
    if (!controllers_disconnect(boot.volumes, volumes, problem))
        return false;
    uint64_t status = launch_this_cpu(&boot.launch, 0);
    if (status == CORE_OK)
        return true;
    controllers_connect(boot.volumes, volumes);
    return report(problem, "%s", launch_sentence(status));
}

/* As a guest: the other CPUs, the firmware's drivers, the OS. */
static bool go_on(struct report *problem)
{
    const unsigned volumes = boot.policy.volume_count;
    if (!smp_launch(&boot.launch, boot.cpu_count, problem))
        return false;
    launch_release(&boot.launch);
    sleep_hide_s3(&boot.acpi);
    controllers_connect(boot.volumes, volumes);
    for (unsigned i = 0; i < volumes; i++)
        console_print("Volume %s: unlocked.\n", boot.volumes[i].policy->name);
    console_print("Shoji %s: %u %s protected.\n", CONFIG_RELEASE, (unsigned)boot.cpu_count,
                  boot.cpu_count == 1 ? "CPU" : "CPUs");
    for (unsigned i = 0; i < volumes; i++)
        volume_release(&boot.volumes[i]);
    if (boot.policy.os_path[0])
        chain_start(&boot.esp, &boot.policy, problem);
    return !problem->text[0];
}

static no_return void leave(EFI_STATUS status)
{
    /* Through Exit, not by returning: it restores the registers that the firmware's calling convention keeps
     * and ours does not. */
    for (;;)
        firmware.services->Exit(firmware.image, status, 0, NULL);
}

/* Before the launch: nothing has changed, so the firmware may go on. */
static no_return void give_up(const struct report *problem)
{
    for (unsigned i = 0; i < boot.policy.volume_count; i++)
        volume_release(&boot.volumes[i]);
    launch_release(&boot.launch);
    block_release(&boot.block);
    esp_close(&boot.esp);
    console_print("%s\n", problem->text);
    console_wait_for_key("Press a key to return to the firmware.");
    leave(EFI_ABORTED);
}

/* After the launch: an unlocked volume is for the policy's OS alone, so the machine starts anew. */
static no_return void halt(const struct report *problem)
{
    console_print("%s\n", problem->text);
    console_wait_for_key("Press a key to restart the machine.");
    for (;;)
        firmware.table->RuntimeServices->ResetSystem(EfiResetCold, EFI_SUCCESS, 0, NULL);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
    struct report problem = {""};
    firmware_start(image, table);
    firmware.services->SetWatchdogTimer(0, 0, 0, NULL); /* typing takes its time */
    console_print("Shoji %s\n", CONFIG_RELEASE);
    if (!check(&problem) || !log_in(&problem) || !launch(&problem))
        give_up(&problem);
    if (!go_on(&problem))
        halt(&problem);
    leave(EFI_NOT_FOUND); /* a policy without an OS: the boot order goes on */
}
