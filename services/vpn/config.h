/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's section [vpn NAME], parsed. Every key is documented in docs/policy.md. Secrets are only named
 * here; secrets.c fetches them. */
#ifndef SHOJI_SERVICES_VPN_CONFIG_H
#define SHOJI_SERVICES_VPN_CONFIG_H

#include "crypto/ipsec/ike.h"
#include "lib/policy_grammar.h"
#include "services/vpn/wire.h"

#define VPN_HOST_MAX 254

enum vpn_secret { SECRET_PSK, SECRET_CERTIFICATE, SECRET_KEY, SECRET_AUTHORITIES, SECRET_CRL, SECRET_COUNT };

struct vpn_configuration {
    char name[POLICY_NAME_MAX];
    unsigned line;                               /* of the section's heading */
    char gateway[VPN_HOST_MAX];                  /* a DNS name or an address */
    struct ip_address gateway_address;           /* version 0: a name */
    char secrets[SECRET_COUNT][POLICY_NAME_MAX]; /* their names; empty: not given */
    bool crl_required;
    struct ike_configuration ike; /* the credential is set by vpn_secrets_load */
    struct wire_settings wire;
    uint64_t guest_lease; /* seconds */
    bool copy_dscp;
    struct selector_list plain; /* networks past the tunnel; empty: none */
};

/* Finds and parses the one section [vpn NAME] of a policy; other sections are the loader's. False with one
 * sentence that names the line. */
bool vpn_configuration_parse(const char *text, size_t size, struct vpn_configuration *out,
                             struct report *problem) must_check;

/* Fetches the secrets that the configuration names, and makes a credential of them. False with a sentence. */
bool vpn_secrets_load(struct vpn_configuration *configuration, struct report *problem) must_check;

#endif
