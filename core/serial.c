/* SPDX-License-Identifier: Apache-2.0 */
#include "core/serial.h"

#include "core/cpu.h"

enum uart {
    UART_DATA = 0,
    UART_INTERRUPTS = 1,
    UART_FIFO = 2,
    UART_LINE = 3,
    UART_MODEM = 4,
    UART_STATUS = 5
};

#define LINE_8N1       0x03u
#define LINE_DIVISOR   0x80u
#define FIFO_ON        0x07u
#define MODEM_READY    0x03u
#define STATUS_EMPTY   0x20u
#define DIVISOR_115200 1u
#define WAIT_TURNS     100000u /* far longer than a byte takes: an absent UART must not stop the machine */

static uint16_t base; /* 0: none. Constant after serial_start; output is serialised by the log's lock */

static void uart_write(enum uart reg, uint8_t value)
{
    port_write((uint16_t)(base + reg), 1, value);
}

void serial_start(uint16_t port)
{
    base = port;
    if (!base)
        return;
    uart_write(UART_INTERRUPTS, 0);
    uart_write(UART_LINE, LINE_DIVISOR);
    uart_write(UART_DATA, DIVISOR_115200);
    uart_write(UART_INTERRUPTS, 0);
    uart_write(UART_LINE, LINE_8N1);
    uart_write(UART_FIFO, FIFO_ON);
    uart_write(UART_MODEM, MODEM_READY);
}

static void put_byte(char c)
{
    for (unsigned i = 0; i < WAIT_TURNS; i++) {
        if (port_read((uint16_t)(base + UART_STATUS), 1) & STATUS_EMPTY)
            break;
        __builtin_ia32_pause();
    }
    uart_write(UART_DATA, (uint8_t)c);
}

void serial_put(const char *text, size_t length)
{
    for (size_t i = 0; base && i < length; i++) {
        if (text[i] == '\n')
            put_byte('\r');
        put_byte(text[i]);
    }
}
