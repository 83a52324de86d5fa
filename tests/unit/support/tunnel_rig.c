/* SPDX-License-Identifier: Apache-2.0 */
/* Two tunnels back to back. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/tunnel_rig.h"

#define FIRST_SPI 0x1000u
#define PEER_SPI  0x2000u

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* The headroom is written to, as a service does it. */
static void keep(struct rig_queue *queue, uint8_t *packet, size_t size)
{
    require(queue->count < RIG_PACKETS && size <= RIG_BYTES);
    memset(packet - TUNNEL_HEADROOM, 0xee, TUNNEL_HEADROOM);
    memcpy(queue->packet[queue->count], packet, size);
    queue->size[queue->count++] = size;
}

static void to_wire(void *owner, const struct ip_address *destination, uint8_t *packet, size_t size)
{
    struct rig_end *end = owner;
    require(destination->version == packet[0] >> 4);
    require(memcmp(packet + (destination->version == 4 ? 16 : 24), destination->bytes,
                   ip_bytes(destination->version)) == 0);
    keep(&end->wire, packet, size);
}

static void to_guest(void *owner, uint8_t *packet, size_t size)
{
    keep(&((struct rig_end *)owner)->guest, packet, size);
}

static void suspect(void *owner)
{
    ((struct rig_end *)owner)->suspected++;
}

static void start_end(struct rig_end *end)
{
    static const struct tunnel_callbacks callbacks = {
        .to_wire = to_wire, .to_guest = to_guest, .suspect = suspect};
    struct ip_address gateway4 = ip_of(VIRTUAL4), gateway6 = ip_of(VIRTUAL6);
    end->tunnel = tunnel_create(1500, true, &callbacks, end);
    require(end->tunnel);
    tunnel_set_gateway(end->tunnel, &gateway4, &gateway6);
}

struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    require(rig);
    rig->now = 1000000;
    start_end(&rig->ours);
    start_end(&rig->gateway);
    return rig;
}

void rig_free(struct rig *rig)
{
    tunnel_destroy(rig->ours.tunnel);
    tunnel_destroy(rig->gateway.tunnel);
    free(rig);
}

static void add_selector(struct selector_list *list, const char *text)
{
    require(selector_parse(text, strlen(text), &list->item[list->count++]));
}

struct child_parameters rig_child(const struct rig_form *form, unsigned number)
{
    const char *cipher = form->cipher ? form->cipher : "aes256gcm16";
    struct child_parameters c = {.spi_in = FIRST_SPI + number, .spi_out = PEER_SPI + number};
    uint16_t port = form->udp ? 4500 : 0;
    c.cipher = algorithm_named(cipher, strlen(cipher));
    c.integrity = form->integrity ? algorithm_named(form->integrity, strlen(form->integrity)) : NULL;
    c.esn = form->esn;
    memset(&c.in, (int)(1 + number), sizeof(c.in));
    memset(&c.out, (int)(101 + number), sizeof(c.out));
    c.udp_encapsulated = form->udp;
    c.outer_local = endpoint_of(form->outer6 ? OUR_OUTER6 : OUR_OUTER4, port);
    c.outer_remote = endpoint_of(form->outer6 ? GATEWAY_OUTER6 : GATEWAY_OUTER4, port);
    if (form->local)
        add_selector(&c.local, form->local);
    if (form->remote)
        add_selector(&c.remote, form->remote);
    for (unsigned i = 0; i < 2; i++) {
        if (!form->local)
            add_selector(&c.local, i ? "0.0.0.0/0" : "::/0");
        if (!form->remote)
            add_selector(&c.remote, i ? "0.0.0.0/0" : "::/0");
    }
    return c;
}

void rig_add(struct rig *rig, const struct rig_form *form, unsigned number)
{
    struct child_parameters ours = rig_child(form, number), peer = ours;
    peer.spi_in = ours.spi_out;
    peer.spi_out = ours.spi_in;
    peer.in = ours.out;
    peer.out = ours.in;
    peer.local = ours.remote;
    peer.remote = ours.local;
    peer.outer_local = ours.outer_remote;
    peer.outer_remote = ours.outer_local;
    require(tunnel_add(rig->ours.tunnel, &ours, 0) && tunnel_add(rig->gateway.tunnel, &peer, 0));
}

void rig_clear(struct rig *rig)
{
    rig->ours.wire.count = rig->ours.guest.count = 0;
    rig->gateway.wire.count = rig->gateway.guest.count = 0;
}

static void send_from(struct rig *rig, struct rig_end *end, const struct ip_recipe *recipe, size_t size)
{
    uint8_t *packet = malloc(size); /* of exactly its size, so that reading past it shows */
    require(packet);
    make_ip(recipe, packet, size);
    rig_clear(rig);
    tunnel_from_guest(end->tunnel, packet, size, rig->now);
    free(packet);
}

unsigned rig_send(struct rig *rig, const struct ip_recipe *recipe, size_t size)
{
    send_from(rig, &rig->ours, recipe, size);
    return rig->ours.wire.count;
}

bool rig_arrive(struct rig *rig, struct rig_end *end, const uint8_t *packet, size_t size)
{
    uint8_t *copy = malloc(TUNNEL_HEADROOM + size);
    require(copy);
    memcpy(copy + TUNNEL_HEADROOM, packet, size);
    struct tunnel_rest rest;
    bool taken = tunnel_from_wire(end->tunnel, copy + TUNNEL_HEADROOM, size, rig->now, &rest);
    free(copy);
    return taken;
}

struct rig_queue *rig_pass(struct rig *rig)
{
    for (unsigned i = 0; i < rig->ours.wire.count; i++)
        require(rig_arrive(rig, &rig->gateway, rig->ours.wire.packet[i], rig->ours.wire.size[i]));
    return &rig->gateway.guest;
}

struct rig_queue *rig_reply(struct rig *rig, const struct ip_recipe *recipe, size_t size)
{
    send_from(rig, &rig->gateway, recipe, size);
    for (unsigned i = 0; i < rig->gateway.wire.count; i++)
        require(rig_arrive(rig, &rig->ours, rig->gateway.wire.packet[i], rig->gateway.wire.size[i]));
    return &rig->ours.guest;
}
