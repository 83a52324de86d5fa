/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for a passphrase and tries it on the key slots. */
#include "boot/login.h"

#include "boot/console.h"
#include "boot/heap.h"
#include "lib/strings.h"

#define TRIES          3
#define PASSPHRASE_MAX 512 /* as long as cryptsetup takes one from a terminal */
#define DOTS           20

/* The row of dots that grows while a slot is computed. */
struct dots {
    unsigned done; /* as it was told last: a smaller one means that another slot has begun */
    unsigned shown;
};

static void grow_dots(void *context, unsigned done, unsigned total)
{
    struct dots *dots = context;
    if (!total)
        return;
    if (done < dots->done)
        dots->shown = 0;
    dots->done = done;
    for (unsigned due = (unsigned)((uint64_t)done * DOTS / total); dots->shown < due; dots->shown++)
        console_print(".");
}

static enum luks2_verdict try_passphrase(const struct header *header, const char *passphrase, size_t length,
                                         uint8_t key[LUKS2_KEY_MAX], struct report *problem)
{
    struct dots dots = {0};
    const struct luks2_bytes file = {.data = header->file.data, .size = header->file.size};
    const struct luks2_help help = {
        .progress = {.step = grow_dots, .context = &dots},
        .memory = {.allocate = heap_pages, .release = heap_pages_release, .largest = heap_largest},
        .problem = problem,
    };
    console_print("Checking the passphrase ");
    enum luks2_verdict verdict = luks2_unlock(&header->luks, &file, passphrase, length, &help, key);
    console_print("\n");
    return verdict;
}

/* Reads a passphrase that is not empty. */
static enum console_line ask(const char *name, char passphrase[PASSPHRASE_MAX], size_t *length)
{
    enum console_line line;
    do {
        console_print("Passphrase for volume %s: ", name);
        line = console_read_secret(passphrase, PASSPHRASE_MAX, length);
    } while (line == LINE_ENTERED && *length == 0);
    return line;
}

static void say_wrong(const struct report *why, unsigned left)
{
    console_print("%s", why->text[0] ? why->text : "The passphrase is wrong.");
    if (left)
        console_print(" %u %s left.", left, left == 1 ? "try is" : "tries are");
    console_print("\n");
}

bool login(const char *name, const struct header *header, uint8_t key[LUKS2_KEY_MAX], struct report *problem)
{
    static char passphrase[PASSPHRASE_MAX]; /* static, so that one place is to be wiped */
    struct report why = {""};
    size_t length;
    for (unsigned left = TRIES; left-- > 0;) {
        enum luks2_verdict verdict = LUKS2_WRONG_PASSPHRASE;
        why = (struct report){""};
        enum console_line line = ask(name, passphrase, &length);
        if (line == LINE_ENTERED)
            verdict = try_passphrase(header, passphrase, length, key, &why);
        wipe(passphrase, sizeof(passphrase));
        console_forget();
        if (line == LINE_GIVEN_UP)
            return report(problem, "The login was given up. No operating system was started.");
        if (line == LINE_NO_KEYBOARD)
            return report(problem,
                          "There is no keyboard to type the passphrase on; connect one and start again.");
        if (verdict == LUKS2_UNLOCKED)
            return true;
        say_wrong(&why, left);
    }
    if (why.text[0])
        return report(problem, "Volume %s was not unlocked. No operating system was started.", name);
    return report(problem, "Three wrong passphrases for volume %s. No operating system was started.", name);
}
