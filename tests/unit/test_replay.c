/* SPDX-License-Identifier: Apache-2.0 */
/* The anti-replay window against a plain list, and the high half of extended sequence numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crypto/ipsec/esp.h"

/* The window against a plain list of what came, with steps of all sizes. */
static void test_window_model(void **state)
{
    (void)state;
    enum { NUMBERS = 60000 };
    static bool came[NUMBERS];
    struct replay replay = {0};
    uint64_t top = 0;
    uint32_t random = 12345;
    for (unsigned step = 0; step < 40000; step++) {
        random = random * 1664525 + 1013904223;
        unsigned spread = (random >> 8) % 16 == 0 ? 5000 : (random >> 8) % 3 == 0 ? 2200 : 70;
        uint64_t at = top + 40 + (random >> 4) % spread, back = MIN(top, (uint64_t)(random >> 12) % 2100);
        uint64_t sequence = random >> 31 ? at : top - back;
        if (sequence >= NUMBERS)
            break;
        bool fresh = sequence > 0 && !came[sequence] && (sequence > top || top - sequence < REPLAY_WINDOW);
        assert_int_equal(replay_fresh(&replay, sequence), fresh);
        if (!fresh)
            continue;
        replay_accept(&replay, sequence);
        came[sequence] = true;
        top = MAX(top, sequence);
    }
    assert_true(top > NUMBERS / 2);
}

/* RFC 4303 appendix A2: what lies within the window or less than 2^32 - window in front of it is told
 * rightly. */
static void test_esn_inference(void **state)
{
    (void)state;
    static const uint64_t tops[] = {0,
                                    1,
                                    1000,
                                    REPLAY_WINDOW,
                                    0xfffffff0,
                                    0x100000000ull,
                                    0x100000005ull,
                                    0x1000007c0ull,
                                    0x7fffffffffull,
                                    0xfffffffffffull};
    for (size_t i = 0; i < ARRAY_COUNT(tops); i++) {
        struct replay replay = {.top = tops[i]};
        uint64_t lowest = tops[i] >= REPLAY_WINDOW ? tops[i] - REPLAY_WINDOW + 1 : 1, out;
        const uint64_t tries[] = {lowest,
                                  lowest + 1,
                                  tops[i],
                                  tops[i] + 1,
                                  tops[i] + 0x1000,
                                  tops[i] + 0x7fffffff,
                                  tops[i] + 0xffffffff - REPLAY_WINDOW};
        for (size_t t = 0; t < ARRAY_COUNT(tries); t++)
            if (tries[t] > 0) {
                assert_true(replay_sequence(&replay, (uint32_t)tries[t], true, &out));
                assert_true(out == tries[t]);
            }
    }
    struct replay early = {.top = 5};
    uint64_t out;
    assert_false(replay_sequence(&early, 0xfffffffe, true, &out)); /* would be before the first packet */
    assert_true(replay_sequence(&early, 0xfffffffe, false, &out));
    assert_false(replay_sequence(&early, 0, false, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_model),
        cmocka_unit_test(test_esn_inference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
