/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the policy file. */
#include "boot/config.h"

bool config_read(const struct esp *esp, struct policy *out, struct report *problem)
{
    struct file file;
    switch (file_read(esp, POLICY_PATH, POLICY_FILE_MAX, &file)) {
    case FILE_MISSING:
        return report(problem,
                      "The policy " POLICY_PATH " is missing; put it back on the EFI system partition.");
    case FILE_UNREADABLE:
        return report(problem, "The policy " POLICY_PATH
                               " cannot be read; write it anew and check the EFI system partition.");
    case FILE_TOO_LARGE:
        return report(problem, "The policy " POLICY_PATH " is larger than %u KiB; it is not a policy.",
                      (unsigned)(POLICY_FILE_MAX / KIB(1)));
    case FILE_READ:
        break;
    }
    bool good = policy_parse((const char *)file.data, file.size, out, problem);
    file_release(&file);
    return good;
}
