/* SPDX-License-Identifier: Apache-2.0 */
/* What lwIP takes from <string.h>. Only its own sources are compiled with this folder on the path. */
#ifndef SHOJI_SERVICES_VPN_STRING_H
#define SHOJI_SERVICES_VPN_STRING_H

#include "lib/strings.h"

#endif
