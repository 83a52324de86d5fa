/* SPDX-License-Identifier: Apache-2.0 */
/* Files through EFI_SIMPLE_FILE_SYSTEM_PROTOCOL. */
#include "boot/files.h"

#include "boot/device_path.h"
#include "boot/heap.h"
#include "lib/strings.h"

#define PATH_MAX_CHARACTERS 300 /* a policy path with ".bak" */
#define INFO_BYTES          (sizeof(EFI_FILE_INFO) + 2 * 256)

bool esp_open(struct esp *esp, struct report *problem)
{
    *esp = (struct esp){0};
    EFI_LOADED_IMAGE_PROTOCOL *image = protocol_of(firmware.image, &loaded_image_guid);
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *volume =
        image ? protocol_of(image->DeviceHandle, &disk_file_system_guid) : NULL;
    EFI_DEVICE_PATH *path = image ? protocol_of(image->DeviceHandle, &device_path_guid) : NULL;
    if (!volume || !path)
        return report(
            problem,
            "Shoji was not started from a disk with a file system; start it from the EFI system partition.");
    if (EFI_ERROR(volume->OpenVolume(volume, &esp->root)))
        return report(problem, "The EFI system partition cannot be read; check it with fsck.vfat.");
    esp->path = device_path_copy(path);
    if (!esp->path) {
        esp_close(esp);
        return report(problem, "There is not enough memory to start.");
    }
    return true;
}

void esp_close(struct esp *esp)
{
    if (esp->root)
        esp->root->Close(esp->root);
    esp->root = NULL;
}

static EFI_STATUS open_file(const struct esp *esp, const char *path, uint64_t mode, EFI_FILE_PROTOCOL **out)
{
    CHAR16 wide[PATH_MAX_CHARACTERS];
    size_t length = strlen(path);
    if (!esp->root || length >= ARRAY_COUNT(wide))
        return EFI_NOT_FOUND;
    for (size_t i = 0; i <= length; i++)
        wide[i] = (unsigned char)path[i];
    return esp->root->Open(esp->root, out, wide, mode, 0);
}

/* The size of an open file. False when it is a directory or does not tell. */
static bool file_size(EFI_FILE_PROTOCOL *file, uint64_t *size)
{
    union {
        EFI_FILE_INFO info;
        uint8_t bytes[INFO_BYTES];
    } room;
    UINTN bytes = sizeof(room);
    if (EFI_ERROR(file->GetInfo(file, &file_info_guid, &bytes, &room)) || bytes < SIZE_OF_EFI_FILE_INFO ||
        room.info.Attribute & EFI_FILE_DIRECTORY)
        return false;
    *size = room.info.FileSize;
    return true;
}

static enum file_result read_open_file(EFI_FILE_PROTOCOL *file, size_t limit, struct file *out)
{
    uint64_t size;
    if (!file_size(file, &size))
        return FILE_UNREADABLE;
    if (size > limit)
        return FILE_TOO_LARGE;
    out->size = size;
    out->data = heap_pages(NULL, size + 1); /* one more, so that an empty file is memory too */
    if (!out->data)
        return FILE_UNREADABLE;
    for (size_t done = 0; done < size;) {
        UINTN part = size - done;
        if (EFI_ERROR(file->Read(file, &part, out->data + done)) || !part || part > size - done) {
            file_release(out);
            return FILE_UNREADABLE;
        }
        done += part;
    }
    return FILE_READ;
}

enum file_result file_read(const struct esp *esp, const char *path, size_t limit, struct file *out)
{
    EFI_FILE_PROTOCOL *file;
    *out = (struct file){0};
    EFI_STATUS status = open_file(esp, path, EFI_FILE_MODE_READ, &file);
    if (EFI_ERROR(status))
        return status == EFI_NOT_FOUND ? FILE_MISSING : FILE_UNREADABLE;
    enum file_result result = read_open_file(file, limit, out);
    file->Close(file);
    return result;
}

void file_release(struct file *file)
{
    heap_pages_release(NULL, file->data, file->size + 1);
    *file = (struct file){0};
}

bool file_exists(const struct esp *esp, const char *path)
{
    EFI_FILE_PROTOCOL *file;
    uint64_t size;
    if (EFI_ERROR(open_file(esp, path, EFI_FILE_MODE_READ, &file)))
        return false;
    bool there = file_size(file, &size);
    file->Close(file);
    return there;
}

static bool write_open_file(EFI_FILE_PROTOCOL *file, const struct file *content)
{
    for (size_t done = 0; done < content->size;) {
        UINTN part = content->size - done;
        if (EFI_ERROR(file->Write(file, &part, content->data + done)) || !part || part > content->size - done)
            return false;
        done += part;
    }
    return !EFI_ERROR(file->Flush(file));
}

bool file_write(const struct esp *esp, const char *path, const struct file *content)
{
    const uint64_t mode = EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE;
    EFI_FILE_PROTOCOL *file;
    /* An old file is deleted first: it may be longer, and writing does not shorten it. */
    if (!EFI_ERROR(open_file(esp, path, mode, &file)) && EFI_ERROR(file->Delete(file)))
        return false;
    if (EFI_ERROR(open_file(esp, path, mode | EFI_FILE_MODE_CREATE, &file)))
        return false;
    bool written = write_open_file(file, content);
    bool closed = !EFI_ERROR(file->Close(file));
    return written && closed;
}
