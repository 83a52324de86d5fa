/* SPDX-License-Identifier: Apache-2.0 */
/* The words for what Shoji reports: protections, counters, sizes. */
#include "tools/shojictl/print.h"

#include <string.h>

const struct protection protections[] = {
    {PROTECTS_CPU, "cpu",
     "this system's CPUs cannot reach the hypervisor's memory, nor switch it off (nested paging, MSR and "
     "port tables)",
     "this system's CPUs can reach the hypervisor's memory (no nested paging)"},
    {PROTECTS_DISK_COMMANDS, "disk_commands",
     "every disk command is decided by a table, and every address in it is checked",
     "disk commands and their addresses reach the disk unchecked (no mediated disk)"},
    {PROTECTS_SLEEP_REFUSED, "sleep_refused",
     "sleep (S3) is refused, because the machine would wake up without Shoji",
     "sleep (S3) is not refused, and the machine may wake up without Shoji"},
    {PROTECTS_DMA, "dma", "devices cannot reach the hypervisor's memory by DMA (IOMMU)",
     "devices can reach the hypervisor's memory by DMA (no IOMMU in this version)"},
    {PROTECTS_POLICY_SEAL, "policy_seal",
     "a policy that was changed without consent is refused at boot (seal)",
     "whoever can write the EFI system partition can change the policy (no seal in this version)"},
    {PROTECTS_MEASURED_BOOT, "measured_boot", "Shoji, its policy and its headers are measured into the TPM",
     "a replaced shoji.efi is not noticed (no measured boot in this version; use Secure Boot)"},
    {PROTECTS_NETWORK, "network", "all network traffic goes through the VPN of the policy",
     "network traffic leaves as this system sends it (no VPN in this version)"},
    {PROTECTS_USB, "usb", "USB devices are used only as the policy allows",
     "USB devices are neither controlled nor encrypted (no USB mediation in this version)"},
};
const size_t protection_count = ARRAY_COUNT(protections);

const struct cpu_counter cpu_counters[] = {
    {"exits", "all exits", offsetof(struct status_cpu, exits)},
    {"nmis_claimed", "NMIs claimed", offsetof(struct status_cpu, nmis_claimed)},
    {"nmis_injected", "NMIs injected", offsetof(struct status_cpu, nmis_injected)},
    {"nmis_swallowed", "NMIs swallowed", offsetof(struct status_cpu, nmis_swallowed)},
    {"vectors_raised", "vectors raised", offsetof(struct status_cpu, vectors_raised)},
};
const size_t cpu_counter_count = ARRAY_COUNT(cpu_counters);

uint64_t cpu_counter_value(const struct status_cpu *cpu, const struct cpu_counter *counter)
{
    uint64_t value;
    memcpy(&value, (const uint8_t *)cpu + counter->offset, sizeof(value));
    return value;
}

void reason_name(const struct snapshot *s, unsigned reason, char out[REASON_NAME_SIZE])
{
    static_assert(sizeof(s->reasons[0].name) == REASON_NAME_SIZE, "names fit");
    if (s->reasons[reason].name[0])
        memcpy(out, s->reasons[reason].name, REASON_NAME_SIZE);
    else
        snprintf(out, REASON_NAME_SIZE, "reason-%u", reason);
}

void pci_text(const struct status_volume *v, char out[PCI_TEXT_SIZE])
{
    snprintf(out, PCI_TEXT_SIZE, "%04x:%02x:%02x.%u", v->pci_segment, v->pci_bus, v->pci_devfn >> 3,
             v->pci_devfn & 7u);
}

void bytes_text(uint64_t bytes, char out[BYTES_TEXT_SIZE])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(out, BYTES_TEXT_SIZE, "%u byte%s", (unsigned)bytes, bytes == 1 ? "" : "s");
        return;
    }
    /* 1023.95 and more would be shown as 1024.0 of the smaller unit. */
    double value = (double)bytes / 1024;
    unsigned unit = 0;
    for (; value >= 1023.95 && unit + 1 < ARRAY_COUNT(units); unit++)
        value /= 1024;
    snprintf(out, BYTES_TEXT_SIZE, "%.1f %s", value, units[unit]);
}
