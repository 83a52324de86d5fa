/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's section [vpn NAME], parsed. Every key is documented in docs/policy.md. Secrets are only named
 * here; secrets.c fetches them. */
#ifndef SHOJI_SERVICES_VPN_CONFIG_H
#define SHOJI_SERVICES_VPN_CONFIG_H

#include "crypto/ipsec/ike.h"
#include "services/vpn/wire.h"

#define VPN_NAME_MAX 32
#define VPN_HOST_MAX 254

/* Names of secrets; empty: not given. */
struct vpn_secret_names {
    char psk[VPN_NAME_MAX];
    char certificate[VPN_NAME_MAX], private_key[VPN_NAME_MAX];
    char authorities[VPN_NAME_MAX], crl[VPN_NAME_MAX];
};

struct vpn_configuration {
    char name[VPN_NAME_MAX];
    unsigned line;                     /* of the section's heading */
    char gateway[VPN_HOST_MAX];        /* a DNS name or an address */
    struct ip_address gateway_address; /* version 0: a name */
    struct vpn_secret_names secrets;
    bool crl_required;
    struct ike_configuration ike; /* credential and trust are set by vpn_secrets_load */
    struct wire_settings wire;
    uint64_t guest_lease; /* seconds */
    bool copy_dscp;
    struct selector_list plain; /* networks past the tunnel; empty: none */
};

/* Finds and parses the one section [vpn NAME] of a policy; other sections are the loader's. False with one
 * sentence that names the line. */
bool vpn_configuration_parse(const char *text, size_t size, struct vpn_configuration *out,
                             struct report *problem) must_check;

/* Fetches the secrets that the configuration names, and makes credential and trust of them. False with a
 * sentence; then nothing is kept. vpn_secrets_free wipes. */
bool vpn_secrets_load(struct vpn_configuration *configuration, struct report *problem) must_check;
void vpn_secrets_free(struct vpn_configuration *configuration);

#endif
