/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's grammar: what a good file means, and the sentence for each way to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/policy.h"

#define GUID_A "6f0c2a11-3b44-4d55-8e66-778899aabbcc"
#define GUID_B "0fc63daf-8483-4772-8e79-3d69d8477de4"

#define OS "[os]\npath = \\EFI\\debian\\shimx64.efi\n"
/* Four lines; with OS before them the heading is line 3. */
#define ROOT                                                                                                 \
    "[volume root]\nmatch = partuuid:" GUID_A "\nheader = \\EFI\\shoji\\root.luks\nunlock = passphrase\n"

/* Parses text that ends exactly where its memory does. */
static bool parse_bytes(const char *text, size_t size, struct policy *policy, struct report *problem)
{
    char *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    problem->text[0] = '\0';
    bool good = policy_parse(copy, size, policy, problem);
    free(copy);
    assert_int_equal(good, problem->text[0] == '\0');
    return good;
}

static void must_parse(const char *text, struct policy *policy)
{
    struct report problem;
    if (!parse_bytes(text, strlen(text), policy, &problem))
        fail_msg("%s\nfor:\n%s", problem.text, text);
}

/* The text is refused with a sentence that starts with the line and holds the words. */
static void must_refuse(unsigned line, const char *words, const char *text)
{
    struct policy policy;
    struct report problem;
    char start[64];
    snprintf(start, sizeof(start), "policy.conf line %u: ", line);
    if (parse_bytes(text, strlen(text), &policy, &problem))
        fail_msg("accepted:\n%s", text);
    if (strncmp(problem.text, start, strlen(start)) != 0 || !strstr(problem.text, words))
        fail_msg("\"%s\" is not about line %u and %s", problem.text, line, words);
    size_t length = strlen(problem.text);
    assert_int_equal(problem.text[length - 1], '.');
    assert_true(length < REPORT_MAX - 1);
    static const struct policy empty;
    assert_memory_equal(&policy, &empty, sizeof(policy));
}

static void reads_a_whole_policy(void **state)
{
    (void)state;
    struct policy p;
    must_parse("\xef\xbb\xbf; Shoji\r\n"
               "[os]\r\n"
               "path    = \\EFI\\debian\\shimx64.efi   ; the signed shim\r\n"
               "options = quiet splash=a#b;c # not this\r\n"
               "\r\n"
               "[log]\r\n\tport=0x3e8\r\n"
               "[ cpu ]\r\napic = trap\r\n"
               "[volume   root]\r\n"
               "match       = PARTUUID:6F0C2A11-3b44-4d55-8e66-778899aabbcc\r\n"
               "header      = \\EFI\\shoji\\root.luks\r\n"
               "unlock      = passphrase\r\n"
               "discard     = yes\r\n"
               "elsewhere   = deny\r\n"
               "disk-serial = S4 X.99=;1\r\n"
               "first-lba   = 2048\r\n"
               "lba-count   = 0x100000\r\n"
               "# a comment\r\n"
               "[volume data-1_x.y]\r\n"
               "match = partuuid:" GUID_B "\r\n"
               "header = \\data.luks\r\n"
               "unlock = passphrase",
               &p);
    assert_string_equal(p.os_path, "\\EFI\\debian\\shimx64.efi");
    assert_string_equal(p.os_options, "quiet splash=a#b;c");
    assert_int_equal(p.log_port, 0x3e8);
    assert_int_equal(p.apic, APIC_TRAP);
    assert_int_equal(p.volume_count, 2);

    const struct policy_volume *root = &p.volumes[0], *data = &p.volumes[1];
    struct guid a, b;
    assert_true(guid_parse(GUID_A, 36, &a) && guid_parse(GUID_B, 36, &b));
    assert_string_equal(root->name, "root");
    assert_true(guid_equal(&root->partition, &a));
    assert_string_equal(root->header, "\\EFI\\shoji\\root.luks");
    assert_int_equal(root->unlock[0], UNLOCK_PASSPHRASE);
    assert_int_equal(root->unlock[1], UNLOCK_NONE);
    assert_true(root->discard);
    assert_int_equal(root->elsewhere, ELSEWHERE_DENY);
    assert_true(root->pinned);
    assert_string_equal(root->disk_serial, "S4 X.99=;1");
    assert_int_equal(root->first_lba, 2048);
    assert_int_equal(root->lba_count, 0x100000);
    assert_int_equal(root->line, 10);

    assert_string_equal(data->name, "data-1_x.y");
    assert_true(guid_equal(&data->partition, &b));
    assert_false(data->discard || data->pinned);
    assert_int_equal(data->elsewhere, ELSEWHERE_PASS);
    assert_int_equal(data->line, 20);
}

static void has_defaults(void **state)
{
    (void)state;
    struct policy p;
    must_parse("[os]\n", &p);
    assert_int_equal(p.os_path[0], 0);
    assert_int_equal(p.log_port, 0);
    assert_int_equal(p.apic, APIC_AUTO);
    assert_int_equal(p.volume_count, 0);
    must_parse("[log]\nport = 1000\n", &p);
    assert_int_equal(p.log_port, 1000);
    must_parse("[cpu]\napic = starts\n", &p);
    assert_int_equal(p.apic, APIC_STARTS);
    must_parse("[cpu]\napic = auto\n", &p);
    assert_int_equal(p.apic, APIC_AUTO);
    must_parse(ROOT "discard = no\nelsewhere = pass\n" OS, &p);
    assert_int_equal(p.volumes[0].line, 1);
}

static void says_what_is_unknown(void **state)
{
    (void)state;
    must_refuse(1, "[bios]", "[bios]\n");
    must_refuse(1, "[OS]", "[OS]\n");
    must_refuse(1, "[]", "[]\n");
    must_refuse(3, "\"pth\" is unknown in [os]; there are: path, options.", "\n[os]\npth = \\a\n");
    must_refuse(2, "\"Path\"", "[os]\nPath = \\a\n");
    must_refuse(7, "match, header, unlock, discard, elsewhere, disk-serial, first-lba, lba-count.",
                OS ROOT "cipher = none\n");
    must_refuse(2, "\"port\" is unknown in [cpu]", "[cpu]\nport = 0x3e8\n");
    must_refuse(1, "before the first section", "path = \\a\n[os]\n");
    must_refuse(2, "expected", "[os]\nnonsense\n");
    must_refuse(2, "expected", "[os]\n= x\n");
    must_refuse(1, "closing", "[os\n");
    must_refuse(1, "closing", "[\n");
    must_refuse(1, "closing", "[os] path = \\a\n");
    must_refuse(1, "takes no name", "[os debian]\n");
}

static void says_what_is_not_supported_yet(void **state)
{
    (void)state;
    static const char words[] = "not supported by this version";
    must_refuse(3, words, OS "[usb]\nstorage = deny\n");
    must_refuse(3, words, OS "[vpn office]\n");
    must_refuse(4, words, OS "[volume stick]\nmatch = usb\n");
    must_refuse(4, words, OS "[volume stick]\nheader = inline\n");
    must_refuse(4, words, OS "[volume stick]\nheader = partuuid:" GUID_A "\n");
    must_refuse(4, "\"piv\" is not supported by this version", OS "[volume v]\nunlock = piv, passphrase\n");
    must_refuse(4, "\"tpm2\" is not", OS "[volume v]\nunlock = passphrase, tpm2\n");
    must_refuse(4, "\"recovery\" is not", OS "[volume v]\nunlock = recovery\n");
    must_refuse(4, "\"volume:root\" is not", OS "[volume v]\nunlock = volume:root\n");
}

static void refuses_bad_values(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",       "\\",       "EFI\\a.efi", "/EFI/a.efi", "\\EFI/a.efi", "\\EFI\\..\\a.efi", "\\..",
        "\\.\\a", "\\a\\\\b", "\\a\\",      "\\\\a",      "\\a\\ \\b",   "\\a\tb",           "C:\\a",
    };
    char text[1024];
    for (unsigned i = 0; i < ARRAY_COUNT(paths); i++) {
        snprintf(text, sizeof(text), "[os]\npath = %s\n", paths[i]);
        must_refuse(2, "not a path on the ESP", text);
        snprintf(text, sizeof(text), OS "[volume v]\nheader = %s\n", paths[i]);
        must_refuse(4, "not a path on the ESP", text);
    }
    static const char *const ports[] = {
        "",      "0",     "0x3e9",  "0xf8",   "0xfff9", "0x10000", "COM1",
        "0xcf8", "-1000", "1000.0", "0x3e8h", "0x",     "0x3 e8",  "99999999999999999999"};
    for (unsigned i = 0; i < ARRAY_COUNT(ports); i++) {
        snprintf(text, sizeof(text), "[log]\nport = %s\n", ports[i]);
        must_refuse(2, "not a serial port", text);
    }
    static const char *const partitions[] = {"",
                                             GUID_A,
                                             "partuuid:",
                                             "partuuid:1234",
                                             "uuid:" GUID_A,
                                             "partuuid:" GUID_A "0",
                                             "partuuid:00000000-0000-0000-0000-000000000000",
                                             "usb:1"};
    for (unsigned i = 0; i < ARRAY_COUNT(partitions); i++) {
        snprintf(text, sizeof(text), OS "[volume v]\nmatch = %s\n", partitions[i]);
        must_refuse(4, "names no partition", text);
    }
    must_refuse(2, "write auto, starts or trap", "[cpu]\napic = always\n");
    must_refuse(7, "write no or yes", OS ROOT "discard = maybe\n");
    must_refuse(7, "write pass or deny", OS ROOT "elsewhere =\n");
    must_refuse(4, "no way to unlock", OS "[volume v]\nunlock = none\n");
    must_refuse(4, "no way to unlock", OS "[volume v]\nunlock =\n");
    must_refuse(4, "no way to unlock", OS "[volume v]\nunlock = passphrase,\n");
    must_refuse(4, "stands twice", OS "[volume v]\nunlock = passphrase, passphrase\n");
    must_refuse(7, "at least 1", OS ROOT "first-lba = 0\n");
    must_refuse(7, "at least 1", OS ROOT "first-lba = 2k\n");
    must_refuse(7, "at least 1", OS ROOT "lba-count = 18446744073709551616\n");
    must_refuse(7, "1 to 63 characters", OS ROOT "disk-serial =\n");
    must_refuse(3, "no name for a volume", OS "[volume]\n");
    must_refuse(3, "no name for a volume", OS "[volume my disk]\n");
    must_refuse(3, "no name for a volume", OS "[volume a/b]\n");
    must_refuse(3, "no name for a volume", OS "[volume abcdefghijklmnopqrstuvwxyz123456]\n");
}

/* A value of `length` characters behind `before`, which is refused exactly above `longest`. */
static void check_longest(const char *before, const char *after, char fill, size_t longest, const char *words)
{
    static char text[2 * POLICY_FILE_MAX];
    struct policy p;
    size_t at = strlen(before);
    for (size_t length = longest; length <= longest + 1; length++) {
        memcpy(text, before, at);
        memset(text + at, fill, length);
        strcpy(text + at + length, after);
        if (length == longest) {
            must_parse(text, &p);
            continue;
        }
        struct report problem;
        assert_false(parse_bytes(text, strlen(text), &p, &problem));
        assert_non_null(strstr(problem.text, words));
    }
}

static void limits_lengths(void **state)
{
    (void)state;
    check_longest("[os]\npath = \\", "\n", 'a', 250, "longer than 251 characters");
    check_longest("[os]\npath = \\a\noptions = ", "\n", 'o', 255, "longer than 255 characters");
    check_longest(OS "[volume ", &ROOT[strlen("[volume root")], 'v', 31, "1 to 31 letters");
    check_longest(OS ROOT "first-lba = 1\nlba-count = 1\ndisk-serial = ", "\n", 's', 63,
                  "1 to 63 characters");
    check_longest("[os]\n;", "\n", ';', 1022, "longer than 1023 bytes");
    check_longest("[os]\n;", "", ';', 1022, "longer than 1023 bytes");
    check_longest("[os]\n;", "\r\n", ';', 1022, "longer than 1023 bytes");
    check_longest("[os]\n", "", '\n', POLICY_FILE_MAX - 5, "larger than 64 KiB");
}

static void refuses_duplicates_with_both_lines(void **state)
{
    (void)state;
    must_refuse(4, "[os] stands already in line 1", OS "\n[os]\n");
    must_refuse(3, "already in line 2", OS "path = \\b\n");
    must_refuse(7, "[volume root] stands already in line 3", OS ROOT ROOT);
    must_refuse(8, "already in line 4, to volume root",
                OS ROOT "[volume b]\nmatch = partuuid:6F0C2A11-3B44-4D55-8E66-778899AABBCC\n");
    must_refuse(8, "already in line 5, to volume root",
                OS ROOT "[volume b]\nheader = \\efi\\SHOJI\\root.luks\n");
    must_refuse(7, "was given already in line 6", OS ROOT "unlock = passphrase\n");
    must_refuse(5, "[cpu] stands already in line 3", OS "[cpu]\n[log]\n[cpu]\n");
}

static void requires_what_belongs_together(void **state)
{
    (void)state;
    must_refuse(1, "what is started", ROOT);
    must_refuse(1, "what is started", ROOT "[os]\n");
    must_refuse(1, "no path", "[os]\noptions = quiet\n");
    must_refuse(3, "lacks the key \"match\"", OS "[volume v]\nheader = \\a\nunlock = passphrase\n[log]\n");
    must_refuse(3, "[volume v] lacks the key \"header\"",
                OS "[volume v]\nmatch = partuuid:" GUID_A "\nunlock = passphrase\n");
    must_refuse(3, "lacks the key \"unlock\"", OS "[volume v]\nmatch = partuuid:" GUID_A "\nheader = \\a\n");
    must_refuse(3, "together", OS ROOT "first-lba = 2048\n");
    must_refuse(3, "together", OS ROOT "first-lba = 2048\nlba-count = 1\n");
    must_refuse(3, "together", OS ROOT "disk-serial = x\nlba-count = 1\n[cpu]\n");
    must_refuse(3, "largest disk",
                OS ROOT "disk-serial = x\nlba-count = 2\nfirst-lba = 0xffffffffffffffff\n");
}

static void refuses_too_many_volumes(void **state)
{
    (void)state;
    char text[2048] = OS;
    struct policy p;
    for (unsigned i = 0; i <= POLICY_VOLUMES_MAX; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof(text) - at,
                 "[volume v%u]\nmatch = partuuid:%08x-0000-0000-0000-000000000000\nheader = \\v%u\nunlock = "
                 "passphrase\n",
                 i, i + 1, i);
        if (i < POLICY_VOLUMES_MAX)
            must_parse(text, &p);
        else
            must_refuse(3 + 4 * i, "more than 4 volumes", text);
    }
}

static void refuses_what_is_not_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *words;
    } cases[] = {
        {"[os]\npath = \\a\0b\n", 16, "line 2: byte 00h in column 10"},
        {"[os]\n; caf\xc3\xa9\n", 12, "line 2: byte c3h in column 6"},
        {"\xff\xfe[\0o\0s\0]\0", 10, "line 1: byte ffh in column 1"},
        {"[os]\rpath = \\a\n", 15, "byte 0dh in column 5"},
        {"[os]\n\x7f\n", 7, "byte 7fh"},
        {"[os]\n\x1b[0m\n", 10, "byte 1bh"},
        {"[os]\n\r\r\n", 8, "byte 0dh in column 1"},
        {"\n\xef\xbb\xbf[os]\n", 9, "line 2: byte efh"},
        {"\0", 1, "line 1: byte 00h"},
        {"", 0, "is empty"},
        {"; nothing\n\n", 11, "is empty"},
        {"\xef\xbb\xbf", 3, "is empty"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        struct policy p;
        struct report problem;
        assert_false(parse_bytes(cases[i].text, cases[i].size, &p, &problem));
        if (!strstr(problem.text, cases[i].words))
            fail_msg("case %u: %s", i, problem.text);
    }
}

/* Every prefix is either a policy or a sentence, and nothing is read past its end (ASan watches). */
static void survives_every_cut(void **state)
{
    (void)state;
    static const char text[] =
        "\xef\xbb\xbf" OS "options = x ; y\r\n" ROOT "disk-serial = s\nfirst-lba = 0x1\nlba-count = 1\n";
    struct policy p;
    struct report problem;
    unsigned good = 0;
    for (size_t size = 0; size <= strlen(text); size++)
        good += parse_bytes(text, size, &p, &problem);
    assert_true(good > 10);
    assert_true(p.volumes[0].pinned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_whole_policy),
        cmocka_unit_test(has_defaults),
        cmocka_unit_test(says_what_is_unknown),
        cmocka_unit_test(says_what_is_not_supported_yet),
        cmocka_unit_test(refuses_bad_values),
        cmocka_unit_test(limits_lengths),
        cmocka_unit_test(refuses_duplicates_with_both_lines),
        cmocka_unit_test(requires_what_belongs_together),
        cmocka_unit_test(refuses_too_many_volumes),
        cmocka_unit_test(refuses_what_is_not_text),
        cmocka_unit_test(survives_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
