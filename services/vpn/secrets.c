/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the secrets that the policy names into the credential and the trust that IKE uses. Their bytes pass
 * through one buffer that is wiped. */
#include "services/vpn/config.h"
#include "services/vpn/surroundings.h"

#include "lib/strings.h"

#define SECRET_MAX KIB(32) /* a chain of certificates, or a CRL */
#define PSK_GOOD   16      /* bytes; below, it can be guessed */

struct loader {
    struct vpn_configuration *out;
    struct report *problem;
    uint8_t room[2][SECRET_MAX]; /* what is being read: at most two at a time */
};

static bool fetch(struct loader *l, unsigned slot, const char *name, struct bytes_view *out)
{
    size_t size = 0;
    *out = (struct bytes_view){.data = l->room[slot]};
    if (!name[0])
        return true;
    if (!vpn_secret(name, l->room[slot], SECRET_MAX, &size) || size > SECRET_MAX)
        return report(l->problem,
                      "The secret \"%s\" that [vpn %s] names is not there, or is larger than %u KiB.", name,
                      l->out->name, (unsigned)(SECRET_MAX >> 10));
    out->size = size;
    return true;
}

static bool load_psk(struct loader *l)
{
    struct ike_configuration *ike = &l->out->ike;
    struct bytes_view psk;
    if (!fetch(l, 0, l->out->secrets.psk, &psk))
        return false;
    /* An editor's last line end is not part of the key. */
    while (psk.size > 0 && (psk.data[psk.size - 1] == '\n' || psk.data[psk.size - 1] == '\r'))
        psk.size--;
    if (psk.size == 0)
        return report(l->problem, "The pre-shared key \"%s\" is empty.", l->out->secrets.psk);
    if (psk.size < PSK_GOOD)
        vpn_log(
            "The pre-shared key is shorter than 16 bytes: whoever answers in the gateway's place can guess "
            "at it afterwards (RFC 7296 section 2.15); take a longer one.");
    ike->credential = credential_psk(psk.data, psk.size, l->problem);
    ike->trust = ike->credential ? trust_psk(psk.data, psk.size, l->problem) : NULL;
    return ike->trust != NULL;
}

static bool load_certificates(struct loader *l)
{
    const struct vpn_secret_names *names = &l->out->secrets;
    struct ike_configuration *ike = &l->out->ike;
    struct bytes_view first, second;
    if (!fetch(l, 0, names->certificate, &first) || !fetch(l, 1, names->private_key, &second))
        return false;
    ike->credential = credential_certificate(first, second, l->problem);
    wipe(l->room, sizeof(l->room));
    if (!ike->credential || !fetch(l, 0, names->authorities, &first) || !fetch(l, 1, names->crl, &second))
        return false;
    ike->trust = trust_certificates(first, second, l->out->crl_required, l->problem);
    return ike->trust != NULL;
}

bool vpn_secrets_load(struct vpn_configuration *configuration, struct report *problem)
{
    static struct loader loader; /* too large for a stack; wiped below */
    loader.out = configuration;
    loader.problem = problem;
    bool good = configuration->secrets.psk[0] ? load_psk(&loader) : load_certificates(&loader);
    wipe(&loader, sizeof(loader));
    if (!good)
        vpn_secrets_free(configuration);
    return good;
}

void vpn_secrets_free(struct vpn_configuration *configuration)
{
    if (configuration->ike.credential)
        credential_free(configuration->ike.credential);
    if (configuration->ike.trust)
        trust_free(configuration->ike.trust);
    configuration->ike.credential = NULL;
    configuration->ike.trust = NULL;
}
