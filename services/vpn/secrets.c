/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the secrets that the policy names into the credential and the trust that IKE uses. Their bytes pass
 * through one buffer that is wiped. */
#include "services/vpn/config.h"
#include "services/vpn/surroundings.h"

#include "lib/strings.h"

#define SECRET_MAX KIB(32) /* a chain of certificates, or a CRL */
#define PSK_GOOD   16      /* bytes; below, it can be guessed */

/* What is being read, at most two at a time; too large for a stack. */
static uint8_t room[2][SECRET_MAX];

static bool fetch(const struct vpn_configuration *c, unsigned slot, const char *name, struct bytes_view *out,
                  struct report *problem)
{
    *out = (struct bytes_view){.data = room[slot]};
    if (!name[0] || vpn_secret(name, room[slot], SECRET_MAX, &out->size))
        return true;
    return report(problem, "The secret \"%s\" that [vpn %s] names is not there, or is larger than %u KiB.",
                  name, c->name, (unsigned)(SECRET_MAX >> 10));
}

static bool load_psk(struct vpn_configuration *c, struct report *problem)
{
    struct ike_configuration *ike = &c->ike;
    struct bytes_view psk;
    if (!fetch(c, 0, c->secrets.psk, &psk, problem))
        return false;
    /* An editor's last line end is not part of the key. */
    while (psk.size > 0 && (psk.data[psk.size - 1] == '\n' || psk.data[psk.size - 1] == '\r'))
        psk.size--;
    if (psk.size == 0)
        return report(problem, "The pre-shared key \"%s\" is empty.", c->secrets.psk);
    if (psk.size < PSK_GOOD)
        vpn_log(
            "The pre-shared key is shorter than 16 bytes: whoever answers in the gateway's place can guess "
            "at it afterwards (RFC 7296 section 2.15); take a longer one.");
    ike->credential = credential_psk(psk.data, psk.size, problem);
    ike->trust = ike->credential ? trust_psk(psk.data, psk.size, problem) : NULL;
    return ike->trust != NULL;
}

static bool load_certificates(struct vpn_configuration *c, struct report *problem)
{
    const struct vpn_secret_names *names = &c->secrets;
    struct ike_configuration *ike = &c->ike;
    struct bytes_view first, second;
    if (!fetch(c, 0, names->certificate, &first, problem) ||
        !fetch(c, 1, names->private_key, &second, problem))
        return false;
    ike->credential = credential_certificate(first, second, problem);
    wipe(room, sizeof(room));
    if (!ike->credential || !fetch(c, 0, names->authorities, &first, problem) ||
        !fetch(c, 1, names->crl, &second, problem))
        return false;
    ike->trust = trust_certificates(first, second, c->crl_required, problem);
    return ike->trust != NULL;
}

bool vpn_secrets_load(struct vpn_configuration *configuration, struct report *problem)
{
    bool psk = configuration->secrets.psk[0];
    bool good = psk ? load_psk(configuration, problem) : load_certificates(configuration, problem);
    wipe(room, sizeof(room));
    if (!good)
        vpn_secrets_free(configuration);
    return good;
}

void vpn_secrets_free(struct vpn_configuration *configuration)
{
    credential_free(configuration->ike.credential);
    trust_free(configuration->ike.trust);
    configuration->ike.credential = NULL;
    configuration->ike.trust = NULL;
}
