/* SPDX-License-Identifier: Apache-2.0 */
/* The codec of IKEv2 messages, the policy's words for proposals, and choosing among proposals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ipsec/proposal.h"

static void parse_ike(const char *text, struct ike_proposals *out)
{
    struct report problem = {""};
    if (!proposals_parse((struct ini_text){text, strlen(text)}, PROTOCOL_IKE, out, &problem))
        fail_msg("%s", problem.text);
}

static void assert_names(const struct ike_proposal *p, const char *names)
{
    char text[256] = "";
    for (unsigned i = 0; i < p->count; i++)
        strcat(strcat(text, p->item[i]->name), " ");
    assert_string_equal(text, names);
}

static void reads_the_policys_words(void **state)
{
    (void)state;
    struct ike_proposals p;
    struct report problem = {""};
    parse_ike("aes256gcm16-chacha20poly1305-prfsha384-x25519-ecp384 , aes128-sha256-modp2048", &p);
    assert_int_equal(p.count, 2);
    assert_names(&p.item[0], "aes256gcm16 chacha20poly1305 prfsha384 x25519 ecp384 ");
    assert_names(&p.item[1], "aes128 sha256 modp2048 prfsha256 ");
    static const char esp[] = "aes256gcm16-x25519-esn,chacha20poly1305";
    assert_true(proposals_parse((struct ini_text){esp, strlen(esp)}, PROTOCOL_ESP, &p, &problem));
    assert_names(&p.item[0], "aes256gcm16 x25519 esn ");
    assert_names(&p.item[1], "chacha20poly1305 esn noesn ");
}

static void refuses_weak_and_wrong_words(void **state)
{
    (void)state;
    static const char *const ike[] = {
        "",
        "3des-sha1-modp1024",
        "aes256-sha1-modp2048",
        "aes256gcm8-prfsha256-x25519",
        "aes256gcm16-x25519",
        "aes256gcm16-prfsha256",
        "aes256gcm16-sha256-prfsha256-x25519",
        "aes256-prfsha256-x25519",
        "aes256gcm16-aes256-sha256-prfsha256-x25519",
        "aes256gcm16-prfsha256-modp1024",
        "aes256gcm16-prfsha256-x25519,",
        "aes256gcm16-prfsha256-x25519-esn",
        "aes256gcm16--prfsha256-x25519",
        "prfsha256-x25519",
    };
    for (unsigned i = 0; i < ARRAY_COUNT(ike); i++) {
        struct ike_proposals p;
        struct report problem = {""};
        if (proposals_parse((struct ini_text){ike[i], strlen(ike[i])}, PROTOCOL_IKE, &p, &problem))
            fail_msg("accepted \"%s\"", ike[i]);
        assert_true(problem.text[0]);
    }
    struct ike_proposals p;
    struct report problem = {""};
    assert_false(proposals_parse((struct ini_text){"aes256gcm16-prfsha256", 21}, PROTOCOL_ESP, &p, &problem));
    assert_false(proposals_parse((struct ini_text){"a,a,a,a,a,a,a,a,a", 17}, PROTOCOL_ESP, &p, &problem));
}

static struct payload_list list_of(const struct builder *b)
{
    struct payload_list list;
    assert_false(b->w.failed);
    assert_true(payloads_read(b->first, b->w.data, b->w.at, &list));
    return list;
}

static void chooses_and_checks(void **state)
{
    (void)state;
    uint8_t data[2048];
    struct ike_proposals theirs, mine;
    parse_ike("aes128gcm16-prfsha256-ecp256-x25519,aes256-sha512-modp3072", &theirs);
    parse_ike("aes256gcm16-aes128gcm16-prfsha256-x25519-ecp256", &mine);
    struct proposal_offer offer = {&theirs, PROTOCOL_IKE, 8, 0x1122334455667788, true};
    struct proposal_offer ours = {&mine, PROTOCOL_IKE, 8, 0x99, true};
    struct builder b = {.w = writer_of(data, sizeof(data))};
    put_offer(&b, &offer);
    struct payload_list list = list_of(&b);
    struct ike_choice choice;
    struct report problem = {""};
    assert_true(proposal_choose(&list, &ours, &choice));
    assert_string_equal(choice.cipher->name, "aes128gcm16");
    assert_string_equal(choice.group->name, "x25519"); /* our order */
    assert_true(choice.spi == 0x1122334455667788);

    b = (struct builder){.w = writer_of(data, sizeof(data))};
    put_choice(&b, &ours, &choice);
    list = list_of(&b);
    struct ike_choice checked;
    assert_true(proposal_check_answer(&list, &offer, &checked, &problem));
    assert_ptr_equal(checked.group, choice.group);
    assert_true(checked.spi == 0x99);
    /* An offer is no answer: it has two proposals. */
    b = (struct builder){.w = writer_of(data, sizeof(data))};
    put_offer(&b, &offer);
    list = list_of(&b);
    assert_false(proposal_check_answer(&list, &offer, &checked, &problem));

    choice.number = 3; /* not offered */
    b = (struct builder){.w = writer_of(data, sizeof(data))};
    put_choice(&b, &ours, &choice);
    list = list_of(&b);
    assert_false(proposal_check_answer(&list, &offer, &checked, &problem));
}

/* A wrong answer gets a sentence that says what was chosen and what is allowed. */
static void names_what_differs(void **state)
{
    (void)state;
    uint8_t data[2048];
    struct ike_proposals theirs;
    parse_ike("aes128gcm16-prfsha256-ecp256-x25519,aes256-sha512-modp3072", &theirs);
    struct proposal_offer offer = {&theirs, PROTOCOL_IKE, 8, 1, true};
    struct proposal_offer ours = {&theirs, PROTOCOL_IKE, 8, 2, true};
    struct ike_choice checked;
    struct {
        const char *chosen, *words;
    } wrong[] = {
        {"aes128gcm16-prfsha256-modp2048", "the gateway chose group 14; the policy allows 31, 19, 15"},
        {"aes256gcm16-prfsha256-x25519", "encryption algorithm 20 (key length 256)"},
        {"aes128gcm16-prfsha512-x25519", "PRF 7"},
        {"aes128-sha256-prfsha256-x25519", "encryption algorithm 12"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct ike_proposals p;
        parse_ike(wrong[i].chosen, &p);
        struct ike_choice bad = {.number = 1,
                                 .cipher = proposal_first(&p.item[0], TRANSFORM_ENCRYPTION),
                                 .integrity = proposal_first(&p.item[0], TRANSFORM_INTEGRITY),
                                 .prf = proposal_first(&p.item[0], TRANSFORM_PRF),
                                 .group = proposal_first(&p.item[0], TRANSFORM_KE)};
        struct builder b = {.w = writer_of(data, sizeof(data))};
        put_choice(&b, &ours, &bad);
        struct payload_list list = list_of(&b);
        struct report problem = {""};
        assert_false(proposal_check_answer(&list, &offer, &checked, &problem));
        if (!strstr(problem.text, wrong[i].words))
            fail_msg("\"%s\" lacks \"%s\"", problem.text, wrong[i].words);
    }
}

static void walks_payloads_within_bounds(void **state)
{
    (void)state;
    uint8_t data[256];
    struct payload_list list;
    struct builder b = {.w = writer_of(data, sizeof(data))};
    put_notify(&b, NOTIFY_COOKIE, "cookie", 6);
    put_payload(&b, PAYLOAD_NONCE, "0123456789abcdef", 16);
    put_delete(&b, 1);
    list = list_of(&b);
    assert_int_equal(list.count, 3);
    struct notify n;
    assert_true(notify_find(&list, NOTIFY_COOKIE, &n));
    assert_int_equal(n.data.size, 6);
    assert_int_equal(notify_error(&list, &n), 0);
    for (size_t cut = 0; cut < b.w.at; cut++)
        assert_false(payloads_read(b.first, data, cut, &list));
    assert_false(payloads_read(b.first, data, b.w.at + 1, &list));
    data[2] = 0xff; /* a length beyond the message */
    assert_false(payloads_read(b.first, data, b.w.at, &list));
    data[2] = 0;
    data[3] = 3; /* shorter than its own header */
    assert_false(payloads_read(b.first, data, b.w.at, &list));
    /* The builder stops at its end. */
    b = (struct builder){.w = writer_of(data, 10)};
    put_payload(&b, PAYLOAD_NONCE, data, 7);
    assert_true(b.w.failed);
    assert_int_equal(b.w.at <= 10, true);
}

static void reads_headers_strictly(void **state)
{
    (void)state;
    uint8_t data[IKE_HEADER_BYTES + 4];
    struct ike_header header = {.spi_i = 1, .exchange = IKE_SA_INIT, .length = sizeof(data)}, out;
    header_write(&header, data);
    assert_true(header_read(data, sizeof(data), &out));
    assert_false(header_read(data, sizeof(data) - 1, &out));
    assert_false(header_read(data, 27, &out));
    data[7] = 0;
    assert_false(header_read(data, sizeof(data), &out));
}

static void reads_selectors_strictly(void **state)
{
    (void)state;
    uint8_t data[1024];
    struct selector_list in = {.count = 2}, out;
    assert_true(selector_parse("10.0.0.0/8", 10, &in.item[0]));
    assert_true(selector_parse("2001:db8::/32", 13, &in.item[1]));
    struct builder b = {.w = writer_of(data, sizeof(data))};
    put_selectors(&b, PAYLOAD_TSI, &in);
    struct payload_list list = list_of(&b);
    assert_true(selectors_read(&list, PAYLOAD_TSI, &out));
    assert_int_equal(out.count, 2);
    assert_memory_equal(&out.item[1].last, &in.item[1].last, sizeof(in.item[1].last));
    assert_false(selectors_read(&list, PAYLOAD_TSR, &out));
    data[4] = 3; /* one more than there are */
    assert_false(selectors_read(&list, PAYLOAD_TSI, &out));
    data[4] = 0;
    assert_false(selectors_read(&list, PAYLOAD_TSI, &out));
    data[4] = 2;
    data[16] = 99; /* the first range begins behind its end */
    assert_false(selectors_read(&list, PAYLOAD_TSI, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_policys_words),      cmocka_unit_test(refuses_weak_and_wrong_words),
        cmocka_unit_test(chooses_and_checks),           cmocka_unit_test(names_what_differs),
        cmocka_unit_test(walks_payloads_within_bounds), cmocka_unit_test(reads_headers_strictly),
        cmocka_unit_test(reads_selectors_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
