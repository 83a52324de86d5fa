/* SPDX-License-Identifier: Apache-2.0 */
/* The policy parser on arbitrary text: either a sentence, or a policy in which all that the loader relies on
 * holds. */
#include <stdlib.h>
#include <string.h>

#include "lib/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_text(const char *text, size_t capacity)
{
    size_t length = strnlen(text, capacity);
    require(length < capacity);
    for (size_t i = 0; i < length; i++)
        require((text[i] >= ' ' && text[i] <= '~') || text[i] == '\t');
}

static void check_path(const char *path)
{
    check_text(path, POLICY_PATH_MAX);
    require(path[0] == '\\' && !strchr(path, '/') && !strstr(path, "\\..\\") && !strstr(path, "\\\\"));
    require(strlen(path) + sizeof(".bak") <= POLICY_PATH_MAX);
}

static void check_volume(const struct policy *p, const struct policy_volume *v)
{
    check_text(v->name, POLICY_NAME_MAX);
    require(v->name[0] != '\0' && v->line > 0);
    check_path(v->header);
    require(v->unlock[0] == UNLOCK_PASSPHRASE && v->unlock[1] == UNLOCK_NONE);
    check_text(v->disk_serial, POLICY_SERIAL_MAX);
    require(v->pinned == (v->disk_serial[0] != '\0') && v->pinned == (v->lba_count != 0));
    require(v->lba_count <= UINT64_MAX - v->first_lba);
    for (const struct policy_volume *other = p->volumes; other < v; other++)
        require(strcmp(other->name, v->name) != 0 && !guid_equal(&other->partition, &v->partition));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy p;
    struct report problem = {""};
    if (!policy_parse((const char *)data, size, &p, &problem)) {
        require(strncmp(problem.text, "policy.conf ", strlen("policy.conf ")) == 0);
        check_text(problem.text, REPORT_MAX);
        require(p.volume_count == 0);
        return 0;
    }
    require(problem.text[0] == '\0' && size > 0);
    require(p.volume_count <= POLICY_VOLUMES_MAX);
    if (p.volume_count > 0 || p.os_path[0] != '\0')
        check_path(p.os_path);
    check_text(p.os_options, POLICY_PATH_MAX);
    require(p.log_port == 0 || (p.log_port >= 0x100 && p.log_port % 8 == 0));
    for (unsigned i = 0; i < p.volume_count; i++)
        check_volume(&p, &p.volumes[i]);
    return 0;
}
