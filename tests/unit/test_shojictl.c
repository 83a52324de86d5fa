/* SPDX-License-Identifier: Apache-2.0 */
/* shojictl without a hypervisor: a fake one answers, and the text and JSON that come out are judged. */
#include "lib/json.h"
#include "tools/shojictl/machine.h"
#include "tools/shojictl/options.h"
#include "tools/shojictl/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- The fake hypervisor ---- */

static struct fake {
    struct status status;
    struct status_volume volumes[2];
    struct status_cpu cpus[2];
    struct status_reason reasons[4];
    char log[200];
    size_t log_size;
    unsigned log_reads,
        lose_at_read; /* before this reading of the log's start, 10 bytes fall out of the ring */
    bool silent;
    size_t cut; /* objects are shorter by this */
} fake;

static const void *find_object(uint32_t object, uint32_t instance, size_t *size)
{
    *size = 0;
    if (object == OBJECT_STATUS && instance == 0) {
        *size = sizeof(fake.status);
        return &fake.status;
    }
    if (object == OBJECT_VOLUME && instance < 2) {
        *size = sizeof(fake.volumes[0]);
        return &fake.volumes[instance];
    }
    if (object == OBJECT_CPU && instance < 2) {
        *size = sizeof(fake.cpus[0]);
        return &fake.cpus[instance];
    }
    if (object == OBJECT_REASON && instance < 4) {
        *size = sizeof(fake.reasons[0]);
        return &fake.reasons[instance];
    }
    if (object == OBJECT_LOG && instance == 0) {
        *size = fake.log_size;
        return fake.log;
    }
    return NULL;
}

static bool ask_fake(void *context, uint32_t object, uint32_t instance, uint64_t offset,
                     struct hypercall_answer *answer)
{
    assert_ptr_equal(context, &fake);
    memset(answer, 0, sizeof(*answer));
    if (fake.silent)
        return false;
    if (object == OBJECT_LOG && offset == HYPERCALL_CHUNK && ++fake.log_reads == fake.lose_at_read) {
        memmove(fake.log, fake.log + 10, sizeof(fake.log) - 10);
        fake.status.log_lost += 10;
    }
    size_t size;
    const uint8_t *from = find_object(object, instance, &size);
    if (!from) {
        answer->result = HYPERCALL_NO_OBJECT;
        return true;
    }
    answer->size = size - MIN(fake.cut, size);
    if (offset > size)
        answer->result = HYPERCALL_BAD_OFFSET;
    else
        memcpy(answer->bytes, from + offset, MIN((size_t)HYPERCALL_CHUNK, size - offset));
    return true;
}

static const struct hypervisor hypervisor = {ask_fake, &fake};

static int set_up(void **state)
{
    (void)state;
    fake = (struct fake){
        .status = {.version = STATUS_VERSION,
                   .protections = PROTECTS_CPU | PROTECTS_DISK_COMMANDS,
                   .release = "0.1.0",
                   .cpu_count = 2,
                   .volume_count = 1,
                   .exit_reasons = 4,
                   .cpus_running = 2,
                   .block_bytes = MIB(32),
                   .free_bytes = MIB(20) + KIB(512),
                   .tsc = 5000,
                   .blocked_accesses = 3,
                   .backend = "SVM"},
        .volumes = {{.name = "root",
                     .luks_uuid = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb,
                                   0xcc, 0xdd, 0xee, 0xff},
                     .first_lba = 2048,
                     .lba_count = 1048576,
                     .block_bytes = 512,
                     .sector_bytes = 512,
                     .active = 1,
                     .namespace_id = 1,
                     .pci_devfn = 3 << 3 | 1,
                     .key_bits = 512,
                     .bytes_read = GIB(3) / 2,
                     .bytes_written = 4096,
                     .commands_refused = 7,
                     .disk_serial = "shoji\"\\\033"}},
        .cpus = {{.apic_id = 0, .state = 1, .exits = 300, .nmis_claimed = 40, .by_reason = {100, 0, 200, 0}},
                 {.apic_id = 4, .state = 2, .exits = 30, .by_reason = {10, 0, 20, 0}}},
        .reasons = {{"cpuid"}, {"msr"}, {""}, {"vmmcall"}},
        .log = "core: up\ndisk: \"root\" \033[2J\xff end of the line, and more than one chunk of text\n",
    };
    fake.log_size = strlen(fake.log);
    return 0;
}

/* ---- Running commands ---- */

static double clock_now;

static double fake_now(void)
{
    return clock_now;
}

/* While shojictl sleeps, exits happen and a line is logged. */
static void fake_pause(double seconds)
{
    clock_now += seconds;
    fake.cpus[0].exits += 50;
    fake.cpus[0].by_reason[0] += 50;
    size_t added = strlen("later\n");
    memcpy(fake.log + fake.log_size, "later\n", added);
    fake.log_size += added;
}

static char *output;

/* Runs a command line against the fake and returns what it printed. */
static const char *run(struct report *problem, bool expected, int argc, const char *const argv[])
{
    static const struct timekeeper time = {fake_now, fake_pause};
    struct options options;
    size_t size;
    *problem = (struct report){{0}};
    free(output);
    FILE *to = open_memstream(&output, &size);
    assert_non_null(to);
    assert_true(options_parse(argc, (char *const *)argv, &options, problem));
    assert_int_equal(options_run(&options, &hypervisor, &time, to, problem), expected);
    assert_int_equal(fclose(to), 0);
    assert_int_equal(strlen(problem->text) == 0, expected);
    return output;
}

#define RUN(expected, ...)                                                                                   \
    run(&problem, expected, (int)(sizeof((const char *[]){"shojictl", __VA_ARGS__}) / sizeof(char *)),       \
        (const char *[]){"shojictl", __VA_ARGS__})

static int tear_down(void **state)
{
    (void)state;
    free(output);
    output = NULL;
    return 0;
}

static void expect_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is missing in:\n%s", part, text);
}

static void expect_no_text(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" should not be in:\n%s", part, text);
}

static struct json_token tokens[512];

/* Parses the first line of the output strictly. */
static struct json parse_line(const char *text)
{
    struct json json;
    const char *end = strchr(text, '\n');
    assert_non_null(end);
    assert_true(json_parse(&json, text, (size_t)(end - text), tokens, ARRAY_COUNT(tokens)));
    return json;
}

static uint64_t number(const struct json *json, const struct json_token *object, const char *key)
{
    uint64_t value = 0;
    assert_true(json_u64(json, json_member(json, object, key), &value));
    return value;
}

/* ---- Status ---- */

static void test_status_text(void **state)
{
    (void)state;
    struct report problem;
    const char *text = RUN(true, "status");
    static const char *const parts[] = {
        "Shoji 0.1.0 is running",
        "back end: SVM",
        "2 of 2 run",
        "32.0 MiB reserved, 20.5 MiB of it unused",
        "blocked: 3 ",
        "Volume root: active\n",
        "serial shoji\"\\., at PCI 0000:00:03.1, unit 1",
        "blocks 2048 to 1050623 of 512 bytes (512.0 MiB)",
        "key of 512 bits, sectors of 512 bytes",
        "00112233-4455-6677-8899-aabbccddeeff",
        "1.5 GiB read, 4.0 KiB written; commands refused: 7",
        "not protected yet: devices can reach the hypervisor's memory by DMA (no IOMMU in this version)",
    };
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        expect_text(text, parts[i]);
    fake.volumes[0].active = 0;
    expect_text(RUN(true, "status"), "Volume root: not active");
    fake.status.volume_count = 0;
    expect_text(RUN(true, "status"), "No encrypted volume.");
}

/* Every protection has a sentence for each case, and exactly one of the two is shown. */
static void test_protections(void **state)
{
    (void)state;
    struct report problem;
    uint32_t all = 0;
    for (size_t i = 0; i < protection_count; i++)
        all |= protections[i].bit;
    assert_int_equal(all, PROTECTS_DISK_COMMANDS * 2 - 1);
    for (size_t i = 0; i < protection_count; i++) {
        fake.status.protections = protections[i].bit;
        const char *text = RUN(true, "status");
        for (size_t j = 0; j < protection_count; j++) {
            expect_text(text, i == j ? protections[j].when_on : protections[j].when_off);
            expect_no_text(text, i == j ? protections[j].when_off : protections[j].when_on);
        }
        const char *line = RUN(true, "status", "--json");
        struct json json = parse_line(line);
        const struct json_token *set = json_member(&json, json.tokens, "protections");
        for (size_t j = 0; j < protection_count; j++)
            assert_int_equal(json_member(&json, set, protections[j].key)->type,
                             i == j ? JSON_TRUE : JSON_FALSE);
    }
}

static void test_status_json(void **state)
{
    (void)state;
    struct report problem;
    fake.status.volume_count = 2;
    struct json json = parse_line(RUN(true, "status", "--json"));
    const struct json_token *root = json.tokens, *volumes = json_member(&json, root, "volumes");
    assert_true(json_is(&json, json_member(&json, root, "release"), "0.1.0"));
    assert_true(json_is(&json, json_member(&json, root, "backend"), "SVM"));
    assert_int_equal(number(&json, root, "cpu_count"), 2);
    assert_int_equal(number(&json, root, "block_bytes"), MIB(32));
    const struct json_token *volume = json_at(&json, volumes, 0, NULL);
    assert_non_null(json_at(&json, volumes, 1, NULL));
    assert_null(json_at(&json, volumes, 2, NULL));
    assert_true(json_is(&json, json_member(&json, volume, "name"), "root"));
    assert_true(json_is(&json, json_member(&json, volume, "uuid"), "00112233-4455-6677-8899-aabbccddeeff"));
    assert_int_equal(json_member(&json, volume, "active")->type, JSON_TRUE);
    assert_int_equal(number(&json, volume, "bytes"), MIB(512));
    assert_int_equal(number(&json, volume, "bytes_read"), GIB(3) / 2);
    expect_text(output, "\"disk_serial\":\"shoji\\\"\\\\\\u001b\"");
}

/* ---- Counters ---- */

static void test_stat_totals(void **state)
{
    (void)state;
    struct report problem;
    const char *text = RUN(true, "stat");
    expect_text(text, "exits since the launch          CPU 0        CPU 1          sum\n");
    expect_text(text, "cpuid                             100           10          110\n");
    expect_text(text, "reason-2                          200           20          220\n");
    expect_text(text, "all exits                         300           30          330\n");
    expect_text(text, "NMIs claimed                       40            0           40\n");
    expect_no_text(text, "msr");
    expect_no_text(text, "vmmcall");
    expect_no_text(text, "NMIs injected");
}

static void test_stat_rates(void **state)
{
    (void)state;
    struct report problem;
    const char *text = RUN(true, "stat", "-i", "0.5", "-n", "2");
    const char *first = strstr(text, "exits per second");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "exits per second"));
    assert_null(strstr(strstr(first + 1, "exits per second") + 1, "exits per second"));
    expect_text(text, "cpuid                           100.0          0.0        100.0\n");
    expect_no_text(text, "reason-2");
}

static void test_stat_json(void **state)
{
    (void)state;
    struct report problem;
    struct json json = parse_line(RUN(true, "stat", "--json"));
    const struct json_token *cpus = json_member(&json, json.tokens, "cpus");
    const struct json_token *cpu = json_at(&json, cpus, 1, NULL);
    assert_true(json_is(&json, json_member(&json, cpu, "state"), "waits for SIPI"));
    assert_int_equal(number(&json, cpu, "apic_id"), 4);
    assert_int_equal(number(&json, cpu, "exits"), 30);
    const struct json_token *reasons = json_member(&json, cpu, "by_reason");
    assert_int_equal(number(&json, reasons, "reason-2"), 20);
    assert_int_equal(number(&json, reasons, "vmmcall"), 0);

    json = parse_line(RUN(true, "stat", "--json", "-n", "1", "-i", "2"));
    expect_text(output, "{\"seconds\":2.000000,");
    cpu = json_at(&json, json_member(&json, json.tokens, "cpus"), 0, NULL);
    assert_int_equal(number(&json, cpu, "exits"), 50);
    assert_int_equal(number(&json, cpu, "nmis_claimed"), 0);
}

/* A counter that went back is not shown as billions. */
static void test_restarted_counter(void **state)
{
    (void)state;
    static struct snapshot earlier, later;
    struct report problem = {{0}};
    assert_true(snapshot_read(&hypervisor, &earlier, &problem));
    fake.cpus[0].exits = 5;
    assert_true(snapshot_read(&hypervisor, &later, &problem));
    snapshot_subtract(&later, &earlier);
    assert_int_equal(later.cpus[0].exits, 5);
    assert_int_equal(later.cpus[1].exits, 0);
}

/* ---- Log ---- */

static void test_log(void **state)
{
    (void)state;
    struct report problem;
    static const char shown[] =
        "core: up\ndisk: \"root\" .[2J. end of the line, and more than one chunk of text\n";
    assert_string_equal(RUN(true, "log"), shown);
    (void)parse_line(RUN(true, "log", "--json"));
    assert_string_equal(output,
                        "{\"start\":0,\"text\":\"core: up\\ndisk: \\\"root\\\" \\u001b[2J\\u00ff end of the "
                        "line, and more than one chunk of text\\n\"}\n");
    const char *text = RUN(true, "log", "-n", "3");
    assert_int_equal(strncmp(text, shown, sizeof(shown) - 1), 0);
    assert_string_equal(text + sizeof(shown) - 1, "later\nlater\n");
    fake.log_size = 0;
    assert_string_equal(RUN(true, "log"), "");
}

/* The ring moves between two chunks: the text is read again rather than shown with a gap. */
static void test_log_moves(void **state)
{
    (void)state;
    struct report problem;
    fake.lose_at_read = 1;
    const char *text = RUN(true, "log");
    expect_text(text, "(10 older bytes fell out of the log)\n");
    expect_text(text, "isk: \"root\" .[2J. end of the line, and more than one chunk of text\n");
    assert_int_equal(fake.log_reads, 2);
}

/* ---- Bad answers, bad command lines ---- */

static void test_bad_answers(void **state)
{
    (void)state;
    struct report problem;
    fake.silent = true;
    (void)RUN(false, "status");
    expect_text(problem.text, "does not answer");
    (void)RUN(false, "log");
    fake.silent = false;
    fake.cut = 1;
    (void)RUN(false, "status");
    expect_text(problem.text, "its own release");
    fake.cut = 0;
    fake.status.version = STATUS_VERSION + 1;
    (void)RUN(false, "stat");
    expect_text(problem.text, "knows form 1");
    fake.status.version = STATUS_VERSION;
    fake.status.volume_count = 3; /* the third is not there */
    (void)RUN(false, "status");
    fake.status.cpu_count = SNAPSHOT_CPUS_MAX + 1;
    (void)RUN(false, "status");
    expect_text(problem.text, "257 CPUs");
    fake.status.cpu_count = 2;
    fake.status.exit_reasons = STATUS_REASONS_MAX + 1;
    (void)RUN(false, "status");
    fake.status.exit_reasons = 0;
    fake.status.volume_count = UINT32_MAX;
    (void)RUN(false, "status");
}

/* Texts without a final NUL end inside their arrays. */
static void test_unterminated(void **state)
{
    (void)state;
    struct report problem;
    memset(fake.status.release, 'r', sizeof(fake.status.release));
    memset(fake.volumes[0].name, 'n', sizeof(fake.volumes[0].name));
    memset(fake.volumes[0].disk_serial, 's', sizeof(fake.volumes[0].disk_serial));
    memset(fake.reasons[0].name, 'e', sizeof(fake.reasons[0].name));
    struct json json = parse_line(RUN(true, "status", "--json"));
    assert_int_equal(json_member(&json, json.tokens, "release")->length, sizeof(fake.status.release) - 1);
    (void)parse_line(RUN(true, "stat", "--json"));
    (void)RUN(true, "stat");
}

/* The real machine, whichever it is: either it answers, or there is a sentence; never a signal. */
static void test_machine(void **state)
{
    (void)state;
    struct hypervisor machine;
    struct hypercall_answer answer;
    struct report problem = {{0}};
    if (machine_find(&machine, &problem))
        assert_true(machine.ask(machine.context, OBJECT_STATUS, 0, 0, &answer));
    else
        expect_text(problem.text, "Shoji");
}

static void test_command_line(void **state)
{
    (void)state;
    static const struct {
        const char *argv[6];
        int argc;
        bool good;
    } rows[] = {
        {{"shojictl", "status"}, 2, true},
        {{"shojictl", "--json", "log"}, 3, true},
        {{"shojictl", "--help"}, 2, true},
        {{"shojictl", "stat", "-i", "0.25", "-n", "7"}, 6, true},
        {{"shojictl"}, 1, false},
        {{"shojictl", "--json"}, 2, false},
        {{"shojictl", "status", "log"}, 3, false},
        {{"shojictl", "status", "--jsn"}, 3, false},
        {{"shojictl", "stat", "-i"}, 3, false},
        {{"shojictl", "stat", "-i", "0"}, 4, false},
        {{"shojictl", "stat", "-i", "nan"}, 4, false},
        {{"shojictl", "stat", "-i", "1s"}, 4, false},
        {{"shojictl", "stat", "-n", "0"}, 4, false},
        {{"shojictl", "stat", "-n", "1e3"}, 4, false},
        {{"shojictl", "stat", "-n", "99999999999999999999"}, 4, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct options options;
        struct report problem = {{0}};
        assert_int_equal(options_parse(rows[i].argc, (char *const *)rows[i].argv, &options, &problem),
                         rows[i].good);
        assert_int_equal(strlen(problem.text) == 0, rows[i].good);
    }
}

static void test_bytes_text(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 bytes"},          {1, "1 byte"},           {1023, "1023 bytes"},     {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},       {MIB(1) - 1, "1.0 MiB"}, {GIB(5), "5.0 GiB"},      {GIB(1024), "1.0 TiB"},
        {1ull << 60, "1.0 EiB"}, {1ull << 50, "1.0 PiB"}, {UINT64_MAX, "16.0 EiB"},
    };
    char text[BYTES_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        bytes_text(rows[i].bytes, text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_status_text), TEST(test_protections), TEST(test_status_json),       TEST(test_stat_totals),
        TEST(test_stat_rates),  TEST(test_stat_json),   TEST(test_restarted_counter), TEST(test_log),
        TEST(test_log_moves),   TEST(test_bad_answers), TEST(test_unterminated),      TEST(test_command_line),
        TEST(test_bytes_text),  TEST(test_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
