/* SPDX-License-Identifier: Apache-2.0 */
/* Walks and builds device paths (UEFI 2.10 chapter 10). They come from the firmware, which is trusted to end
 * them. */
#include "boot/device_path.h"

#include "boot/heap.h"
#include "lib/strings.h"

#define END_BYTES sizeof(EFI_DEVICE_PATH)

static size_t node_bytes(const EFI_DEVICE_PATH *node)
{
    size_t bytes = (size_t)node->Length[0] | (size_t)node->Length[1] << 8;
    return MAX(bytes, sizeof(EFI_DEVICE_PATH)); /* a shorter one would make a walk stand still */
}

bool device_path_is_end(const EFI_DEVICE_PATH *node)
{
    return (node->Type & EFI_DP_TYPE_MASK) == END_DEVICE_PATH_TYPE &&
           node->SubType == END_ENTIRE_DEVICE_PATH_SUBTYPE;
}

static const EFI_DEVICE_PATH *next_node(const EFI_DEVICE_PATH *node)
{
    return (const EFI_DEVICE_PATH *)((const uint8_t *)node + node_bytes(node));
}

size_t device_path_bytes(const EFI_DEVICE_PATH *path)
{
    const EFI_DEVICE_PATH *node = path;
    while (!device_path_is_end(node))
        node = next_node(node);
    return (size_t)((const uint8_t *)node - (const uint8_t *)path) + END_BYTES;
}

EFI_DEVICE_PATH *device_path_copy(const EFI_DEVICE_PATH *path)
{
    size_t bytes = device_path_bytes(path);
    EFI_DEVICE_PATH *copy = heap_allocate(NULL, bytes);
    if (copy)
        memcpy(copy, path, bytes);
    return copy;
}

EFI_DEVICE_PATH *device_path_of_file(const EFI_DEVICE_PATH *device, const char *file)
{
    size_t prefix = device_path_bytes(device) - END_BYTES;
    size_t characters = strlen(file) + 1;
    size_t node = sizeof(EFI_DEVICE_PATH) + characters * sizeof(CHAR16);
    uint8_t *path = heap_allocate(NULL, prefix + node + END_BYTES);
    if (!path || node > UINT16_MAX) {
        heap_release(NULL, path);
        return NULL;
    }
    memcpy(path, device, prefix);
    EFI_DEVICE_PATH head = {
        .Type = MEDIA_DEVICE_PATH, .SubType = MEDIA_FILEPATH_DP, .Length = {(UINT8)node, (UINT8)(node >> 8)}};
    memcpy(path + prefix, &head, sizeof(head));
    uint8_t *name = path + prefix + sizeof(head);
    for (size_t i = 0; i < characters; i++) {
        CHAR16 c = (unsigned char)file[i];
        memcpy(name + i * sizeof(c), &c, sizeof(c));
    }
    EFI_DEVICE_PATH end = {
        .Type = END_DEVICE_PATH_TYPE, .SubType = END_ENTIRE_DEVICE_PATH_SUBTYPE, .Length = {END_BYTES, 0}};
    memcpy(path + prefix + node, &end, sizeof(end));
    return (EFI_DEVICE_PATH *)path;
}

const EFI_DEVICE_PATH *device_path_node(const EFI_DEVICE_PATH *path, uint8_t type, uint8_t subtype,
                                        size_t bytes)
{
    for (const EFI_DEVICE_PATH *node = path; !device_path_is_end(node); node = next_node(node))
        if ((node->Type & EFI_DP_TYPE_MASK) == type && node->SubType == subtype && node_bytes(node) >= bytes)
            return node;
    return NULL;
}

bool device_path_is_below(const EFI_DEVICE_PATH *path, const EFI_DEVICE_PATH *parent)
{
    size_t prefix = device_path_bytes(parent) - END_BYTES;
    return device_path_bytes(path) - END_BYTES >= prefix && memcmp(path, parent, prefix) == 0;
}
