/* SPDX-License-Identifier: Apache-2.0 */
/* What of lwIP the VPN service uses on its outer side: ARP, IPv4 and IPv6, neighbour discovery, DHCP and DNS
 * clients, UDP. No TCP, no sockets, no forwarding, one interface (so no zones), fixed memory. What is not
 * named here is as lwIP has it by itself. */
#ifndef SHOJI_SERVICES_VPN_LWIPOPTS_H
#define SHOJI_SERVICES_VPN_LWIPOPTS_H

#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN         0
#define LWIP_SOCKET          0
#define LWIP_TCP             0
#define LWIP_STATS           0
#define LWIP_SINGLE_NETIF    1
#define NETIF_MAX_HWADDR_LEN 6

/* Memory: its own pools, nothing from malloc. The heap holds what is sent: one IKE message and its fragments.
 */
#define MEM_ALIGNMENT      8
#define MEM_SIZE           (40 * 1024)
#define MEMP_NUM_UDP_PCB   8
#define PBUF_POOL_SIZE     24
#define PBUF_POOL_BUFSIZE  1536
#define MEMP_NUM_ARP_QUEUE 8
#define MEMP_NUM_ND6_QUEUE 8

/* The tunnel puts fragments together before lwIP sees them (crypto/ipsec/tunnel.h). */
#define IP_FORWARD      0
#define IP_REASSEMBLY   0
#define ARP_QUEUEING    1
#define LWIP_ICMP       0 /* our host on the wire answers nobody */
#define LWIP_DHCP       1
#define LWIP_DNS        1
#define DNS_TABLE_SIZE  2
#define DNS_MAX_SERVERS 4

#define LWIP_IPV6                      1
#define LWIP_IPV6_FORWARD              0
#define LWIP_IPV6_REASS                0
#define LWIP_IPV6_NUM_ADDRESSES        4
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS 2

/* A static default router of IPv6, which lwIP by itself has only from router advertisements. */
struct netif;
struct ip6_addr;
const struct ip6_addr *wire_static_router6(struct netif *netif, const struct ip6_addr *destination);
#define LWIP_HOOK_ND6_GET_GW(netif, destination) wire_static_router6(netif, destination)

#endif
