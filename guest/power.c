/* SPDX-License-Identifier: Apache-2.0 */
/* The ways out through ports that are known here: reset, power-off and sleep. Before the first two every
 * secret is forgotten, because memory outlives a warm reset (for resets by other ways the loader asks the
 * firmware to clear it); sleep is refused, because the hypervisor would not wake up with the machine. */
#include "guest/power.h"

#include "core/log.h"
#include "core/probe.h"
#include "guest/apic_page.h"
#include "guest/exit.h"
#include "guest/ports.h"
#include "guest/trap.h"

#define PORT_KEYBOARD      0x64u
#define KEYBOARD_RESET     0xfeu /* pulse output line 0; 0xf0-0xfe with bit 0 clear do */
#define KEYBOARD_PULSE     0xf0u
#define PORT_CMOS_INDEX    0x70u
#define PORT_CMOS_DATA     0x71u
#define CMOS_SHUTDOWN      0x0fu
#define CMOS_INDEX_MASK    0x7fu
#define CMOS_WARM_RESET    0x0au /* "jump to the vector at 40:67": written before start-up IPIs */
#define PORT_FAST_RESET    0x92u
#define FAST_RESET         BIT(0)
#define PORT_RESET_CONTROL 0xcf9u
#define RESET_SYSTEM       BIT(1)
#define RESET_CPU          BIT(2)
#define SLEEP_TYPE_SHIFT   10
#define SLEEP_TYPE_MASK    7u
#define SLEEP_ENABLE       BIT(13)
#define KNOWS_S5           BIT(1)

static const struct handoff_acpi *acpi; /* constant after power_start */
static uint8_t cmos_index;              /* one byte, last writer wins, as in the device */

static void forget(const char *why)
{
    log_limited("%s: keys are wiped", why);
    stop_all();
}

static void keyboard(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    (void)vcpu;
    uint8_t command = (uint8_t)*value;
    if (write && (command & KEYBOARD_PULSE) == KEYBOARD_PULSE && !(command & 1))
        forget("reset through the keyboard controller");
    port_pass(port, bytes, write, value);
}

static void fast_reset(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    (void)vcpu;
    if (write && (*value & FAST_RESET))
        forget("reset through port 92");
    port_pass(port, bytes, write, value);
}

/* Reached from guest/pci_config.c, whose ports surround it. */
void power_reset_control(uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    if (write && (*value & RESET_CPU))
        forget("reset through port cf9");
    port_pass(port, bytes, write, value);
}

static void reset_register(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    (void)vcpu;
    if (write && (uint8_t)*value == acpi->reset_value)
        forget("reset through ACPI");
    port_pass(port, bytes, write, value);
}

static void cmos(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    (void)vcpu;
    uint32_t index = cmos_index;
    uint8_t data = (uint8_t)*value;
    if (write && port == PORT_CMOS_INDEX) {
        cmos_index = *value & CMOS_INDEX_MASK;
        if (bytes > 1) {
            index = cmos_index;
            data = (uint8_t)(*value >> 8);
        }
    }
    if (write && index == CMOS_SHUTDOWN && (port == PORT_CMOS_DATA || bytes > 1)) {
        if (data == CMOS_WARM_RESET)
            apic_page_close(APIC_CLOSED);
        else
            apic_page_open();
    }
    port_pass(port, bytes, write, value);
}

static void sleep_control(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    bool high_byte = bytes == 1 && (port & 1);
    uint32_t word = high_byte ? *value << 8 : *value;
    if (write && (word & SLEEP_ENABLE)) {
        uint8_t type = word >> SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK;
        if (!(acpi->sleep_type_known & KNOWS_S5) || type != acpi->s5_type) {
            log_limited("cpu %u: sleep (type %u) is refused: this version does not survive it",
                        vcpu->cpu->index, type);
            return;
        }
        forget("power-off");
    }
    port_pass(port, bytes, write, value);
}

static bool trap_sleep(uint32_t port)
{
    return !port ||
           ports_trap((struct port_rule){.first = (uint16_t)port, .count = 2, .access = sleep_control});
}

bool power_start(const struct handoff_acpi *tables)
{
    acpi = tables;
    bool done = ports_trap((struct port_rule){.first = PORT_KEYBOARD, .count = 1, .access = keyboard}) &&
                ports_trap((struct port_rule){.first = PORT_FAST_RESET, .count = 1, .access = fast_reset}) &&
                ports_trap((struct port_rule){.first = PORT_CMOS_INDEX, .count = 2, .access = cmos}) &&
                trap_sleep(acpi->pm1a_control) && trap_sleep(acpi->pm1b_control);
    bool own_register =
        acpi->reset_is_port && acpi->reset_register && acpi->reset_register != PORT_RESET_CONTROL;
    if (done && own_register)
        done = ports_trap((struct port_rule){
            .first = (uint16_t)acpi->reset_register, .count = 1, .access = reset_register});
    return done;
}

void power_reset(const char *why)
{
    forget(why);
    port_write(PORT_RESET_CONTROL, 1, RESET_SYSTEM);
    port_write(PORT_RESET_CONTROL, 1, RESET_SYSTEM | RESET_CPU);
    port_write(PORT_KEYBOARD, 1, KEYBOARD_RESET);
    panic("The machine does not reset");
}

void exit_shutdown(struct vcpu *vcpu)
{
    count_exit(vcpu, EXIT_SHUTDOWN);
    vcpu_dump(vcpu);
    power_reset("triple fault");
}
