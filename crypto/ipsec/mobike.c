/* SPDX-License-Identifier: Apache-2.0 */
/* MOBIKE (RFC 4555): our address, or the gateway's, has changed; the SAs live on. */
#include "crypto/ipsec/connection.h"
#include "lib/format.h"
#include "lib/strings.h"

bool move_build(struct ike_sa *sa, struct builder *b)
{
    struct ike *ike = sa->ike;
    sa->move = false;
    if (!ike->call.entropy(ike->owner, sa->attempt.cookie2, sizeof(sa->attempt.cookie2)))
        return false;
    put_notify(b, NOTIFY_UPDATE_SA_ADDRESSES, NULL, 0);
    put_nat_detection(sa, b);
    put_notify(b, NOTIFY_COOKIE2, sa->attempt.cookie2, sizeof(sa->attempt.cookie2));
    return !b->failed;
}

void move_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct ike *ike = sa->ike;
    struct notify n;
    char why[REPORT_MAX], where[IP_TEXT_MAX];
    request_end(sa);
    if (notify_error(list, &n)) {
        format(why, sizeof(why), "the tunnel could not move with our address: %s", error_words(n.type).text);
        ike_fail_now(ike, why);
        return;
    }
    if (!notify_find(list, NOTIFY_COOKIE2, &n) || n.data.size != sizeof(sa->attempt.cookie2) ||
        !equal_constant_time(n.data.data, sa->attempt.cookie2, n.data.size)) {
        ike_fail_now(ike, "the gateway's answer to our new address lacks the COOKIE2 that we sent");
        return;
    }
    /* Moved again meanwhile: the next exchange judges. */
    if (sa->move)
        return;
    nat_judge(sa, list);
    (void)nat_mapping_changed(sa, list);
    children_move(sa);
    ip_format(&sa->local.ip, where);
    ike_log(ike, "the tunnel has moved to our address %s", where);
}
