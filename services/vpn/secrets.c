/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the secrets that the policy names into the credential that IKE uses. Their bytes pass through a
 * buffer that is wiped. */
#include "services/vpn/config.h"
#include "services/vpn/surroundings.h"

#include "lib/strings.h"

#define SECRET_MAX KIB(32) /* a chain of certificates, or a CRL */
#define PSK_GOOD   16      /* bytes; below, it can be guessed */

static uint8_t room[SECRET_COUNT][SECRET_MAX]; /* too large for a stack */

/* Those that are not named are empty. */
static bool fetch(const struct vpn_configuration *c, struct bytes_view out[SECRET_COUNT],
                  struct report *problem)
{
    for (unsigned i = 0; i < SECRET_COUNT; i++) {
        out[i] = (struct bytes_view){.data = room[i]};
        if (c->secrets[i][0] && !vpn_secret(c->secrets[i], room[i], SECRET_MAX, &out[i].size))
            return report(problem,
                          "The secret \"%s\" that [vpn %s] names is not there, or is larger than %u KiB.",
                          c->secrets[i], c->name, (unsigned)(SECRET_MAX >> 10));
    }
    return true;
}

static bool load_psk(struct vpn_configuration *c, struct bytes_view psk, struct report *problem)
{
    /* An editor's last line end is not part of the key. */
    while (psk.size > 0 && (psk.data[psk.size - 1] == '\n' || psk.data[psk.size - 1] == '\r'))
        psk.size--;
    if (psk.size == 0)
        return report(problem, "The pre-shared key \"%s\" is empty.", c->secrets[SECRET_PSK]);
    if (psk.size < PSK_GOOD)
        vpn_log(
            NULL,
            "The pre-shared key is shorter than 16 bytes: whoever answers in the gateway's place can guess "
            "at it afterwards (RFC 7296 section 2.15); take a longer one.");
    c->ike.credential = credential_psk(psk.data, psk.size, problem);
    return c->ike.credential != NULL;
}

bool vpn_secrets_load(struct vpn_configuration *c, struct report *problem)
{
    struct bytes_view s[SECRET_COUNT];
    bool good = fetch(c, s, problem);
    if (good && c->secrets[SECRET_PSK][0]) {
        good = load_psk(c, s[SECRET_PSK], problem);
    } else if (good) {
        const struct credential_files files = {.chain = s[SECRET_CERTIFICATE],
                                               .private_key = s[SECRET_KEY],
                                               .authorities = s[SECRET_AUTHORITIES],
                                               .crls = s[SECRET_CRL],
                                               .crl_required = c->crl_required};
        c->ike.credential = credential_certificates(&files, problem);
        good = c->ike.credential != NULL;
    }
    wipe(room, sizeof(room));
    return good;
}
