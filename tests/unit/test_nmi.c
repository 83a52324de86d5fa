/* SPDX-License-Identifier: Apache-2.0 */
/* Which NMI is the guest's: completions, requests of other CPUs, their echoes, and performance counters. */
#include "guest/nmi.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct vcpu here, there;
static struct cpu here_cpu, there_cpu;
static struct nmi_claim claim;
static unsigned completions, sent, inits;
static bool counter, injected, traps_iret, stepped;

static unsigned sweep(void *owner, unsigned cpu)
{
    assert_ptr_equal(owner, &completions);
    assert_int_equal(cpu, here_cpu.index);
    unsigned taken = completions;
    completions = 0;
    return taken;
}

struct vcpu *this_vcpu(void)
{
    return &here;
}

void vcpu_consume_nmi(void)
{
}

bool panicking(void)
{
    return false;
}

void halt_forever(void)
{
    fail();
    for (;;)
        ;
}

void apic_send(uint32_t apic_id, uint32_t command)
{
    assert_int_equal(apic_id, there_cpu.apic_id);
    assert_int_equal(command, ICR_MODE_NMI);
    assert_int_equal(there.kicks_in_flight, 1);
    sent++;
}

void startup_take_init(struct vcpu *vcpu)
{
    assert_ptr_equal(vcpu, &here);
    inits++;
}

void exit_init(struct vcpu *vcpu)
{
    startup_take_init(vcpu);
}

void destination_note(struct vcpu *vcpu)
{
    assert_ptr_equal(vcpu, &here);
}

bool pmu_overflowed(void)
{
    return counter;
}

void step_over_iret(struct vcpu *vcpu)
{
    assert_ptr_equal(vcpu, &here);
    stepped = true;
}

void vcpu_trap_iret(struct vcpu *vcpu, bool on)
{
    (void)vcpu;
    traps_iret = on;
}

void vcpu_inject_nmi(struct vcpu *vcpu)
{
    (void)vcpu;
    assert_false(injected);
    injected = true;
}

bool vcpu_injection_due(const struct vcpu *vcpu)
{
    (void)vcpu;
    return injected;
}

static int set_up(void **state)
{
    (void)state;
    here = (struct vcpu){.cpu = &here_cpu};
    there = (struct vcpu){.cpu = &there_cpu};
    here_cpu = (struct cpu){.index = 1};
    there_cpu = (struct cpu){.index = 2, .apic_id = 6};
    completions = sent = inits = claim_count = 0;
    counter = injected = traps_iret = stepped = false;
    claim = (struct nmi_claim){.sweep = sweep, .owner = &completions};
    return nmi_claim(&claim) ? 0 : -1;
}

/* What another CPU does to this one. */
static void ask_here(uint32_t request)
{
    here.kicks++;
    here.requests |= request;
}

/* Takes an NMI exit; returns whether the guest got an NMI of it, whose handler then returns at once. */
static bool delivered(void)
{
    exit_nmi(&here);
    bool got = injected;
    injected = false;
    if (got)
        exit_iret(&here);
    return got;
}

static void window_passes(void)
{
    here.stale_nmi_since = tsc_read() - 2 * ECHO_TICKS;
    here.last_kick = here.stale_nmi_since;
}

static void test_unexplained(void **state)
{
    (void)state;
    assert_true(delivered());
    assert_true(delivered());
    assert_int_equal(here.nmis_injected, 2);
    assert_int_equal(here.nmis_swallowed, 0);
}

static void test_completions_and_their_echoes(void **state)
{
    (void)state;
    completions = 3;
    assert_false(delivered());
    assert_int_equal(here.nmis_claimed, 1);
    /* Each of the three may have had a message of its own. */
    assert_false(delivered());
    assert_false(delivered());
    assert_false(delivered());
    assert_int_equal(here.nmis_swallowed, 3);
    assert_true(delivered());
}

static void test_echoes_expire(void **state)
{
    (void)state;
    completions = 5;
    assert_false(delivered());
    window_passes();
    assert_true(delivered());
    completions = 1;
    assert_false(delivered());
    assert_false(delivered());
    assert_true(delivered()); /* the five are forgotten */
}

static void test_requested(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        ask_here(REQUEST_NMI);
        completions = i % 3;
        assert_true(delivered());
    }
    assert_int_equal(here.nmis_injected, 100);
    assert_int_equal(here.nmis_claimed, 66);
    ask_here(REQUEST_LOOK);
    assert_false(delivered());
}

static void test_merged_requests(void **state)
{
    (void)state;
    ask_here(REQUEST_LOOK);
    ask_here(REQUEST_LOOK);
    assert_false(delivered());
    assert_false(delivered()); /* the second one's own NMI */
    assert_int_equal(here.nmis_swallowed, 1);
}

/* A request that is taken at another exit, whose sender is slow. */
static void test_sender_in_flight(void **state)
{
    (void)state;
    ask_here(REQUEST_NMI);
    here.kicks_in_flight = 1;
    completions = 1;
    assert_true(delivered());
    here.stale_nmis = 1;
    window_passes();
    assert_false(delivered());
    here.kicks_in_flight = 0;
    assert_true(delivered());
}

static void test_request_while_entering(void **state)
{
    (void)state;
    here.requests = REQUEST_NMI;
    requests_settle(&here);
    assert_true(here.in_guest);
    assert_true(injected);
    assert_int_equal(here.requests, 0);
    here_cpu.init_arrived = true;
    requests_settle(&here);
    assert_int_equal(inits, 1);
    assert_false(here_cpu.init_arrived);
}

static void test_counter_with_completions(void **state)
{
    (void)state;
    completions = 2;
    counter = true;
    assert_true(delivered());
    counter = false;
    assert_false(delivered());
    counter = true; /* not an echo */
    assert_true(delivered());
}

static void test_blocked_until_iret(void **state)
{
    (void)state;
    exit_nmi(&here);
    assert_true(injected && here.nmi_blocked && traps_iret);
    injected = false;
    exit_nmi(&here);
    exit_nmi(&here);
    assert_false(injected);
    assert_true(here.nmi_pending);
    exit_iret(&here);
    assert_true(stepped); /* the next one comes after the IRET */
    assert_false(injected);
    nmi_unblocked(&here);
    assert_true(injected);
    injected = false;
    exit_iret(&here);
    assert_false(here.nmi_blocked || here.nmi_pending || traps_iret);
}

static void test_waits_for_an_event(void **state)
{
    (void)state;
    injected = true; /* something else is about to be delivered */
    ask_here(REQUEST_NMI);
    exit_nmi(&here);
    assert_true(here.nmi_pending);
    injected = false;
    requests_settle(&here);
    assert_true(injected);
    assert_false(here.nmi_pending);
}

static void test_asking_another(void **state)
{
    (void)state;
    vcpu_request(&there, REQUEST_LOOK);
    vcpu_request(&there, REQUEST_INIT);
    assert_int_equal(sent, 2);
    assert_int_equal(there.requests, REQUEST_LOOK | REQUEST_INIT);
    assert_int_equal(there.kicks, 2);
    assert_int_equal(there.kicks_in_flight, 0);
    vcpu_request(&here, REQUEST_NMI);
    assert_int_equal(sent, 2);
    assert_true(requests_take(&here));
    assert_true(injected);
    assert_int_equal(here.stale_nmis, 0); /* no NMI was sent for it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_unexplained, set_up),
        cmocka_unit_test_setup(test_completions_and_their_echoes, set_up),
        cmocka_unit_test_setup(test_echoes_expire, set_up),
        cmocka_unit_test_setup(test_requested, set_up),
        cmocka_unit_test_setup(test_merged_requests, set_up),
        cmocka_unit_test_setup(test_sender_in_flight, set_up),
        cmocka_unit_test_setup(test_request_while_entering, set_up),
        cmocka_unit_test_setup(test_counter_with_completions, set_up),
        cmocka_unit_test_setup(test_blocked_until_iret, set_up),
        cmocka_unit_test_setup(test_waits_for_an_event, set_up),
        cmocka_unit_test_setup(test_asking_another, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
