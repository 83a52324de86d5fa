/* SPDX-License-Identifier: Apache-2.0 */
/* The NVMe mediator's own structures. Lock order: controller, then a completion queue (the admin one before
 * an I/O one, never two I/O ones), then one of these: interrupts (which takes the PCI address port's), those
 * behind page_watch and mmio_trap, the bounce pool, the busy pages, the page allocator, the log. */
#ifndef SHOJI_NVME_H
#define SHOJI_NVME_H

#include "core/spinlock.h"
#include "drivers/interrupts.h"
#include "drivers/storage/nvme/nvme_spec.h"
#include "drivers/storage/storage.h"
#include "guest/trap.h"
#include "lib/base.h"

#define NVME_IO_QUEUES_MAX  64
#define NVME_QUEUES_MAX     (NVME_IO_QUEUES_MAX + 1)
#define NVME_DEPTH_MAX      256 /* of the queues that the device sees; the guest's own may be deeper */
#define NVME_NAMESPACES_MAX 64
#define NVME_TRANSFER_SHIFT 7 /* MDTS: 2^7 pages */
#define NVME_TRANSFER_MAX   (PAGE_SIZE << NVME_TRANSFER_SHIFT)
#define NVME_TRANSFER_PAGES ((1u << NVME_TRANSFER_SHIFT) + 1)
#define NVME_SCATTER_MAX    190

/* With so many small reads and writes in flight, new ones wait for the next completion instead of a doorbell
 * exit. One in flight is enough where sweeps have lately found more than one new command each: the guest then
 * submits faster than the device completes, and little of the device's parallelism is lost. */
#define NVME_DEFER_IN_FLIGHT 4
#define NVME_DEFER_BUSY      1
#define NVME_BUSY_FOUND8     10 /* found per sweep, times eight */
#define NVME_QUICK_MAX       KIB(64)

/* ---- Data of one command ---- */

/* A stretch of guest memory. */
struct nvme_scatter {
    uint64_t address;
    uint32_t bytes, reserved;
};

/* The lists of a transfer of more than a page: one page of the pool. The device reads device[1..] as its PRP
 * list. */
struct nvme_lists {
    uint64_t device[NVME_TRANSFER_PAGES + 1];
    struct nvme_scatter guest[NVME_SCATTER_MAX];
};
static_assert(sizeof(struct nvme_lists) <= PAGE_SIZE, "fits one page of the pool");

#define NVME_INLINE 2
struct nvme_transfer {
    uint32_t bytes;
    uint16_t guest_count, device_count;
    bool bounced;             /* device[] are pool pages, filled from offset 0 */
    bool busy;                /* device[] are guest pages, entered in the busy table */
    struct nvme_lists *lists; /* NULL: the two below */
    struct nvme_scatter guest[NVME_INLINE];
    uint64_t device[NVME_INLINE];
};

/* ---- Queues ---- */

/* A command between guest and device. Its index is the CID that the device sees. */
struct nvme_slot {
    struct nvme_command command; /* as the device gets it */
    struct nvme_transfer transfer;
    struct nvme_namespace *namespace;
    uint64_t lba;         /* of this part */
    uint32_t blocks;      /* of this part */
    uint32_t blocks_left; /* behind it (Write Zeroes) */
    uint32_t result;      /* replaces the device's, with `decoy` */
    nvme_status status;   /* likewise */
    uint16_t guest_cid, next_free;
    uint16_t queue; /* admin: the queue that is created or deleted */
    uint8_t guest_opcode;
    bool used, decoy; /* decoy: the device executes something harmless in its place, so that it completes in
                         the ordinary way */
    bool quick;       /* small and short: counts for NVME_DEFER_IN_FLIGHT */
    bool parts;       /* goes on with another command after this one: an entry of the ring is kept for it */
    bool own_finish;  /* the table's `finish` is to be called */
};

struct nvme_sq {
    struct nvme_controller *controller;
    struct nvme_cq *cq;   /* atomic; NULL: the queue does not exist. All below is covered by its lock */
    struct nvme_sq *next; /* of the same completion queue */
    uint16_t id;
    bool opening, closing; /* a create or delete command is under way: take no commands */
    bool live; /* the guest has rung since the doorbell buffer was set: its shadow tail is to be believed */
    bool stalled;      /* waits for pool pages */
    bool odd_doorbell; /* has been logged */

    uint32_t guest_entries, guest_head, guest_tail;
    uint64_t guest_base;   /* contiguous */
    uint64_t *guest_pages; /* or the pages, own memory */
    uint32_t guest_page_count;

    struct nvme_command *ring;
    uint32_t entries, tail, device_head;
    struct nvme_slot *slots;
    uint16_t free_slot; /* NVME_NO_SLOT: none */
    uint32_t quick_in_flight, parts_in_flight;
    uint32_t found8; /* running average of commands that a sweep finds, times eight */
};
#define NVME_NO_SLOT 0xffff

struct nvme_cq {
    struct spinlock lock; /* covers this queue and its submission queues */
    struct nvme_controller *controller;
    struct nvme_sq *queues; /* that complete here */
    uint16_t id;
    bool used;    /* rings exist */
    bool opening; /* a create or delete command is under way: takes no new submission queues */
    bool closed;  /* the controller was shut down or disabled: nothing more is taken or shown */
    bool live, watched;
    bool guest_interrupts, device_interrupts;
    bool owed;       /* an NMI may still arrive for completions that were taken without it */
    bool wants_room; /* waits for the guest's head doorbell */
    bool odd_doorbell;

    uint32_t guest_entries, guest_head, guest_tail;
    uint16_t guest_phase;
    uint64_t guest_base;
    struct watched_page *pages; /* all pages of the guest's queue, own memory */
    uint32_t page_count;

    struct nvme_completion *ring;
    uint32_t entries, head;
    uint16_t phase, vector;
};

/* ---- Controller ---- */

struct nvme_namespace {
    uint32_t id, block_shift;
    uint32_t metadata; /* bytes per block; only where no volume is */
    bool extended;     /* the metadata follows each block in the same buffer */
    bool protection;   /* the metadata is protection information */
    uint64_t blocks;
    struct storage_disk *disk; /* NULL: carries no volume */
    bool refused;              /* a format that Shoji does not mediate */
};

enum nvme_state { NVME_STOPPED, NVME_RUNNING, NVME_RESETTING };

/* A memory BAR that is trapped, in the guest's and the device's view. */
struct nvme_bar {
    struct mmio_region region;
    struct nvme_controller *controller;
    unsigned number; /* 0..5 */
    bool wide, trapped;
    uint64_t size;
    uint64_t real;  /* where the device decodes, and `map` shows it */
    uint64_t guest; /* what the guest wrote */
    uint32_t type;  /* the read-only low bits */
    volatile uint8_t *map;
};

struct nvme_controller {
    struct spinlock lock; /* covers registers, configuration space and the state; queues have their own */
    struct pci_address at;
    struct pci_trap trap;
    struct nmi_claim claim;
    struct interrupts irq;
    struct nvme_bar bars[2]; /* BAR 0, and the one of the MSI-X table where that is another */
    unsigned bar_count;
    uint16_t command;               /* the guest's PCI command register */
    unsigned power, express, sriov; /* offsets of capabilities, 0: absent */

    volatile uint8_t *registers; /* atomic pointer: BAR 0's map */
    uint64_t capabilities;       /* CAP as the guest sees it */
    uint32_t stride;             /* of doorbells, bytes */
    uint64_t doorbell_end;       /* offset in BAR 0 behind the last one */
    enum nvme_state state;       /* atomic */
    bool fatal;                  /* the guest enabled it with queues that cannot be */
    bool shut_down;     /* atomic: the guest said that it is done (CC.SHN); its memory is no queue any more */
    bool look_at_admin; /* atomic: an admin completion may have come unannounced; see resume_stalled */
    uint32_t cc, aqa, masks;
    uint64_t asq, acq;
    uint64_t shadow_page,
        event_page; /* Doorbell Buffer Config; 0: not set. Under the admin queue's lock; read by all */

    unsigned namespace_count;
    struct nvme_namespace namespaces[NVME_NAMESPACES_MAX];
    uint32_t decoy_namespace;
    void *scratch;                            /* where decoys read to */
    uint64_t refused_admin[4], refused_io[4]; /* atomic bit per opcode: has been logged */
    struct nvme_sq sq[NVME_QUEUES_MAX];
    struct nvme_cq cq[NVME_QUEUES_MAX];
};

/* ---- bounce.c: the pool of pages that devices may read and write ---- */

bool bounce_start(void) must_check;
/* Takes all or none. */
bool bounce_take(uint64_t *physical, unsigned count) must_check;
void bounce_release(const uint64_t *physical, unsigned count);

/* ---- busy.c: guest pages that a device writes ciphertext into ---- */

/* Enters all pages, or none and false: one is there already, appears twice, or its row is full. */
bool busy_enter(const uint64_t *pages, unsigned count) must_check;
void busy_leave(const uint64_t *pages, unsigned count);

/* ---- transfer.c, scatter.c: data pointers and buffers ---- */

/* Reads the PRPs (or the SGL) once, checks that every stretch is guest RAM, and leaves the guest's side of
 * the transfer. STATUS_WAIT: no pool page. */
nvme_status scatter_prp(struct nvme_transfer *transfer, uint64_t prp1, uint64_t prp2,
                        uint32_t bytes) must_check;
nvme_status scatter_sgl(struct nvme_transfer *transfer, const struct nvme_command *command,
                        uint32_t bytes) must_check;

/* Points the device at the guest's own pages; false when they have no PRP form or a block of this size would
 * straddle two pages. */
bool transfer_direct(struct nvme_transfer *transfer, uint32_t block_bytes) must_check;
/* Points the device at pool pages; false when there are too few now. */
bool transfer_bounce(struct nvme_transfer *transfer) must_check;
/* A transfer without a guest side (zeroes, probes of the device): pool pages only, zeroed. */
bool transfer_own(struct nvme_transfer *transfer, uint32_t bytes) must_check;
/* Fills in PRP1 and PRP2. */
void transfer_point(const struct nvme_transfer *transfer, struct nvme_command *command);
/* Gives everything back. */
void transfer_release(struct nvme_transfer *transfer);

/* The pieces of a bounced transfer. */
unsigned transfer_pieces(const struct nvme_transfer *transfer);
void *transfer_piece(const struct nvme_transfer *transfer, unsigned index, uint32_t *bytes);
/* Walks along the guest's side of a transfer. */
struct nvme_cursor {
    uint32_t entry, offset;
};
/* The next so many bytes, and steps over them, where they lie together in the guest's memory; else false. */
bool transfer_span(const struct nvme_transfer *transfer, struct nvme_cursor *cursor, uint32_t bytes,
                   uint64_t *address) must_check;
bool transfer_copy_in(const struct nvme_transfer *transfer, struct nvme_cursor *cursor, void *own,
                      uint32_t bytes) must_check;
/* Copies all between guest and pool pages. False when the guest's memory is gone. */
bool transfer_gather(const struct nvme_transfer *transfer) must_check;
bool transfer_scatter(const struct nvme_transfer *transfer) must_check;
/* The device's list of pages. */
const uint64_t *transfer_device(const struct nvme_transfer *transfer);

/* ---- queue.c: submission ---- */

/* Takes what the guest has put into the queue. Under the completion queue's lock. Returns how many commands.
 */
unsigned sq_process(struct nvme_sq *sq);
/* Puts a slot's command into the device's ring once more. False: no room. */
bool sq_submit(struct nvme_sq *sq, struct nvme_slot *slot) must_check;
void sq_ring_device(struct nvme_sq *sq);
void sq_unstall(struct nvme_sq *sq);
void slot_release(struct nvme_sq *sq, struct nvme_slot *slot);
/* Makes the slot's command a harmless one whose completion will carry this status and result. */
void slot_decoy(struct nvme_sq *sq, struct nvme_slot *slot, nvme_status status, uint32_t result);
/* Tries the queues that wait for pool pages, of all controllers. With no queue lock held. */
void resume_stalled(void);

/* ---- doorbell.c ---- */

void doorbell_write(struct nvme_controller *controller, uint64_t offset, uint32_t value);
/* Reads the guest's position from its shadow doorbell. True when it is another than before. */
bool doorbell_refresh_tail(struct nvme_sq *sq);
bool doorbell_refresh_head(struct nvme_cq *cq);
/* Writes the event index: `ring` asks for a doorbell exit at the next change. */
void doorbell_event_tail(struct nvme_sq *sq, bool ring);
void doorbell_event_head(struct nvme_cq *cq, bool ring);
/* Doorbell Buffer Config has been accepted, or a queue was made: ask for the first ring of each. */
void doorbell_restart_sq(struct nvme_sq *sq);
void doorbell_restart_cq(struct nvme_cq *cq);

/* ---- completion.c ---- */

/* Shows all completions to the guest, takes new commands, and raises the vector. Returns how many were taken.
 * Without locks, and under the queue's lock. */
unsigned cq_sweep(struct nvme_cq *cq);
unsigned cq_sweep_locked(struct nvme_cq *cq);
/* Sweeps every queue of the controller, outside of an NMI. */
void controller_sweep(struct nvme_controller *controller);
unsigned controller_claim(void *owner, unsigned cpu);
/* Messages were enabled, disabled or aimed elsewhere: watches or unwatches queues and sweeps them. With no
 * lock held. */
void controller_mode_changed(struct nvme_controller *controller);

/* ---- rings.c: making and ending queues ---- */

struct nvme_queue_request {
    uint16_t id, vector;
    uint32_t entries;
    uint64_t base;
    bool contiguous, interrupts;
};
/* Under the completion queue's lock. */
nvme_status cq_open(struct nvme_cq *cq, const struct nvme_queue_request *request) must_check;
nvme_status sq_open(struct nvme_sq *sq, struct nvme_cq *cq,
                    const struct nvme_queue_request *request) must_check;
void cq_close(struct nvme_cq *cq);
void sq_close(struct nvme_sq *sq);
/* Watches the guest's queue pages, or ends it, as the interrupt mode needs. */
bool cq_watch_update(struct nvme_cq *cq) must_check;
/* The guest physical address of an entry. */
uint64_t sq_guest_entry(const struct nvme_sq *sq, uint32_t index);
uint64_t cq_guest_entry(const struct nvme_cq *cq, uint32_t index);

/* ---- admin.c, identify.c, features.c, io.c: the command tables ---- */

/* An opcode that is not refused. */
struct nvme_operation {
    /* Makes slot->command from the guest's command. 0: submit it. STATUS_WAIT: nothing was taken, try again
     * later. Anything else: refuse with it. */
    nvme_status (*prepare)(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest);
    /* After the device's completion; may change it. NULL: nothing to do. */
    void (*finish)(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion);
};
const struct nvme_operation *admin_operation(uint8_t opcode);
const struct nvme_operation *io_operation(uint8_t opcode);

/* I/O finish when a command goes on with its next part: false, the slot is complete. */
bool io_continue(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_completion *completion);

/* Takes pool pages for admin data of this length at the guest's PRPs. */
nvme_status admin_data(struct nvme_slot *slot, const struct nvme_command *guest, uint32_t bytes) must_check;
/* The command with its own fields and no pointers. */
void admin_copy(struct nvme_slot *slot, const struct nvme_command *guest);
/* Shows the pool pages to the guest. Changes the status where its memory is gone. */
void admin_data_finish(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion);
bool completion_good(const struct nvme_completion *completion);

extern const struct nvme_operation identify_operation, log_operation, set_features_operation,
    get_features_operation;
extern const struct nvme_operation create_cq_operation, create_sq_operation, delete_cq_operation,
    delete_sq_operation;

/* ---- registers.c: the trapped register pages ---- */

void registers_access(void *owner, struct mmio_access *access);
/* The controller lost its state (power): its queues are no more. Under the controller's lock. */
void registers_stop(struct nvme_controller *controller);

/* Gives the device the guest's interrupt masks with pin interrupts, and none with MSI (with MSI-X the
 * registers are not to be touched). With no lock held. */
void registers_apply_masks(struct nvme_controller *controller);

/* ---- config_space.c ---- */

/* Finds BARs and capabilities of the quiet function and maps its registers, with memory decoding on. */
bool config_start(struct nvme_controller *controller, struct report *problem) must_check;
/* From now on the guest sees the shadow. */
bool config_trap(struct nvme_controller *controller) must_check;
void config_read(void *owner, unsigned offset, unsigned bytes, uint32_t *value);
void config_write(void *owner, unsigned offset, unsigned bytes, uint32_t value);

/* ---- bar.c ---- */

/* Finds the size of a memory BAR and maps it where it is. False: it is none, or has no address. */
bool bar_start(struct nvme_bar *bar, struct nvme_controller *controller, unsigned number) must_check;
bool bar_owns(const struct nvme_bar *bar, unsigned offset);
uint32_t bar_view(const struct nvme_bar *bar, unsigned offset);
void bar_write(struct nvme_bar *bar, unsigned offset, uint32_t value);
/* Traps the BAR where the guest wants it, moving the device's own when that is elsewhere. False: it cannot be
 * trapped there and must not decode. */
bool bar_place(struct nvme_bar *bar) must_check;
void bar_remove(struct nvme_bar *bar);
/* Writes the real BAR again after the function lost its state. */
void bar_restore(const struct nvme_bar *bar);

/* ---- take.c, survey.c ---- */

extern struct nvme_controller *nvme_controllers[HANDOFF_VOLUMES_MAX];
extern unsigned nvme_controller_count;

struct nvme_namespace *namespace_find(struct nvme_controller *controller, uint32_t id);
/* Asks the quiet controller, through queues of its own, for its serial number and namespaces; leaves it
 * disabled. */
bool survey(struct nvme_controller *controller, struct report *problem) must_check;
/* Mediates the controller at this address, which carries a volume. False with a sentence. */
bool nvme_take(struct pci_address at, struct report *problem) must_check;

#endif
