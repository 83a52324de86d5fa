/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the tests that the file \tests.txt of its own disk names, or all that ask for nothing special, one
 * after the other; then halts: the firmware's services are gone. */
#include "boot/firmware.h"
#include "boot/memory_map.h"

#include "include/hypercall.h"
#include "lib/strings.h"
#include "tests/system/efi/device.h"
#include "tests/system/efi/runtime.h"

#define TABLE_PAGES   64u
#define LOW_LIMIT     0x9ffffull
#define FOUR_GIB_LAST 0xffffffffull
#define NAMES_MAX     512u
#define VENDOR_AMD    0x68747541u /* "Auth" */

static const struct test tests[] = {
    {"cpuid", test_cpuid, 1},
    {"msr", test_msr, 1},
    {"control", test_control, 1},
    {"virtualization", test_virtualization, 1},
    {"block", test_block, 1},
    {"mmio", test_mmio, 1},
    {"step", test_step, 1},
    {"string-io", test_string_io, 1},
    {"modes", test_modes, 1},
    {"tasks", test_tasks, 1},
    {"nmi", test_nmi, 1},
    {"paging5", test_paging5, 1},
    {"nmi-other", test_nmi_other, 2},
    {"claim", test_claim, 2},
    {"startup", test_startup, 2},
};

uint64_t low_memory, device_page, block, block_bytes;
bool device_is_trapped;
static char names[NAMES_MAX + 1];
void on_stack(void *stack_top, void (*run)(void *), void *argument);

static uint64_t allocate(uint64_t last, uint64_t bytes)
{
    EFI_PHYSICAL_ADDRESS address = last;
    EFI_STATUS status =
        firmware.services->AllocatePages(AllocateMaxAddress, EfiLoaderCode, bytes / PAGE_SIZE, &address);
    if (EFI_ERROR(status)) {
        say("fatal no memory below %llx", (unsigned long long)last);
        firmware.services->Exit(firmware.image, status, 0, NULL);
    }
    return address;
}

static unsigned find_cpus(uint32_t apic_ids[CPUS_MAX])
{
    struct mp_services *mp = protocol_anywhere(&mp_services_guid);
    UINTN all = 1, enabled;
    if (mp)
        mp->get_number(mp, &all, &enabled);
    unsigned count = (unsigned)MIN(all, (UINTN)CPUS_MAX);
    for (unsigned i = 0; mp && i < count; i++) {
        struct processor_information cpu = {0};
        mp->get_information(mp, i, &cpu);
        apic_ids[i] = (uint32_t)cpu.processor_id;
    }
    return count;
}

/* The names of the wanted tests, separated by anything; empty: all. */
static void read_names(void)
{
    EFI_LOADED_IMAGE_PROTOCOL *image = protocol_of(firmware.image, &loaded_image_guid);
    EFI_FILE_IO_INTERFACE *volume = image ? protocol_of(image->DeviceHandle, &disk_file_system_guid) : NULL;
    EFI_FILE_HANDLE root, file;
    UINTN size = NAMES_MAX;
    if (!volume || EFI_ERROR(volume->OpenVolume(volume, &root)))
        return;
    if (EFI_ERROR(root->Open(root, &file, L"\\tests.txt", EFI_FILE_MODE_READ, 0)))
        return;
    if (EFI_ERROR(file->Read(file, &size, names)))
        size = 0;
    names[size] = 0;
    file->Close(file);
}

/* The names are whole words. */
static bool is_wanted(const struct test *test)
{
    size_t length = strlen(test->name);
    if (!names[0])
        return true;
    for (const char *p = names; *p; p++)
        if ((p == names || p[-1] == ' ') && strncmp(p, test->name, length) == 0 &&
            (p[length] == ' ' || p[length] == '\n' || !p[length]))
            return true;
    return false;
}

static bool is_under_shoji(void)
{
    for (uint32_t leaf = HYPERVISOR_LEAF_FIRST; leaf < HYPERVISOR_LEAF_LAST; leaf += HYPERVISOR_LEAF_STEP) {
        struct cpuid r = cpuid(leaf, 0);
        uint32_t text[3] = {r.ebx, r.ecx, r.edx};
        if (memcmp(text, HYPERVISOR_SIGNATURE, sizeof(text)) == 0)
            return true;
    }
    return false;
}

/* Asks the hypervisor, in its maker's way, how much memory it has taken. */
static uint64_t block_size(void)
{
    struct status status = {0};
    bool amd = cpuid(0, 0).ebx == VENDOR_AMD;
    for (uint64_t at = 0; at < sizeof(status); at += HYPERCALL_CHUNK) {
        uint64_t rax = HYPERCALL_MAGIC, rbx = OBJECT_STATUS, data[4] = {at};
        if (amd)
            __asm__ volatile("vmmcall"
                             : "+a"(rax), "+b"(rbx), "+c"(data[0]), "=d"(data[1]), "=S"(data[2]),
                               "=D"(data[3]));
        else
            __asm__ volatile("vmcall"
                             : "+a"(rax), "+b"(rbx), "+c"(data[0]), "=d"(data[1]), "=S"(data[2]),
                               "=D"(data[3]));
        memcpy((uint8_t *)&status + at, data, MIN(sizeof(status) - at, sizeof(data)));
    }
    return status.block_bytes;
}

static void find_block(void)
{
    struct memory_map map;
    uint64_t bytes = block_size();
    if (!memory_map_take(&map))
        return;
    for (size_t i = 0; i < map.count; i++) {
        const EFI_MEMORY_DESCRIPTOR *piece = memory_map_at(&map, i);
        if (piece->Type == EfiReservedMemoryType && piece->NumberOfPages * PAGE_SIZE == bytes) {
            block = piece->PhysicalStart;
            block_bytes = bytes;
        }
    }
    memory_map_release(&map);
    say("the hypervisor's memory: %llx bytes at %llx", (unsigned long long)bytes, (unsigned long long)block);
}

/* The test core's page, where there is one. */
static void find_device(void)
{
    device_is_trapped = *(volatile uint32_t *)(TEST_DEVICE + TEST_DEVICE_ID) == TEST_DEVICE_ID_VALUE;
    device_page = device_is_trapped ? TEST_DEVICE : (uint64_t)pages(1);
}

static void run_all(void *unused)
{
    (void)unused;
    find_device();
    for (unsigned i = 0; i < ARRAY_COUNT(tests); i++) {
        if (!is_wanted(&tests[i]) || tests[i].cpus > test_cpu_count)
            continue;
        say("test %s", tests[i].name);
        tests[i].run();
    }
    say("tests are through");
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
    firmware_start(image, table);
    firmware.services->SetWatchdogTimer(0, 0, 0, NULL);
    read_names();
    uint32_t apic_ids[CPUS_MAX] = {0};
    unsigned cpus = find_cpus(apic_ids);
    if (is_under_shoji())
        find_block();
    low_memory = allocate(LOW_LIMIT, LOW_BYTES);
    uint64_t tables = allocate(FOUR_GIB_LAST, TABLE_PAGES * PAGE_SIZE);
    uint64_t memory = ROUND_UP(allocate(FOUR_GIB_LAST, (cpus + 1) * CPU_BYTES), CPU_BYTES);
    struct test_cpu *each[CPUS_MAX];
    for (unsigned i = 0; i < cpus; i++)
        each[i] = (struct test_cpu *)(memory + i * CPU_BYTES);
    say("\r\ntests under %s, %u CPUs", is_under_shoji() ? "Shoji" : "the firmware alone", cpus);
    machine_take(each, apic_ids, cpus, tables);
    on_stack((uint8_t *)each[0] + CPU_BYTES, run_all, NULL);
    return EFI_ABORTED;
}
