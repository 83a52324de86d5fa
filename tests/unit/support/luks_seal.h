/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of a LUKS2 header copy, computed anew; for tests and fuzzers. */
#ifndef SHOJI_TESTS_LUKS_SEAL_H
#define SHOJI_TESTS_LUKS_SEAL_H

#include "lib/base.h"

/* SHA-256 over header_bytes with the checksum field zero, into that field. */
void luks_seal(uint8_t *header, uint64_t header_bytes);

#endif
