/* SPDX-License-Identifier: Apache-2.0 */
/* NVM Express wire formats: registers, commands, completions, identify fields (NVMe Base 1.4 and 2.0; NVM
 * Command Set 1.0). */
#ifndef SHOJI_NVME_SPEC_H
#define SHOJI_NVME_SPEC_H

#include "lib/base.h"

/* ---- Controller registers (Base 2.0 section 3.1.3) ---- */

#define NVME_CAP      0x00u
#define NVME_VS       0x08u
#define NVME_INTMS    0x0cu
#define NVME_INTMC    0x10u
#define NVME_CC       0x14u
#define NVME_CSTS     0x1cu
#define NVME_NSSR     0x20u
#define NVME_AQA      0x24u
#define NVME_ASQ      0x28u
#define NVME_ACQ      0x30u
#define NVME_CRTO     0x68u
#define NVME_DOORBELL 0x1000u

#define CAP_MQES        0xffffull
#define CAP_CQR         BIT(16)
#define CAP_TO(cap)     ((unsigned)((cap) >> 24) & 0xff) /* 500 ms units */
#define CAP_DSTRD(cap)  ((unsigned)((cap) >> 32) & 0xf)
#define CAP_NSSRS       BIT(36)
#define CAP_BPS         BIT(45)
#define CAP_MPSMIN(cap) ((unsigned)((cap) >> 48) & 0xf)
#define CAP_MPSMAX      (0xfull << 52)
#define CAP_PMRS        BIT(56)
#define CAP_CMBS        BIT(57)

#define CC_EN         1u
#define CC_SHN        (3u << 14) /* shutdown notification */
#define CC_MPS(cc)    ((cc) >> 7 & 0xf)
#define CC_SHN_NORMAL (1u << 14)
#define CC_IOSQES(cc) ((cc) >> 16 & 0xf)
#define CC_IOCQES(cc) ((cc) >> 20 & 0xf)
#define CC_IO_SIZES   (6u << 16 | 4u << 20) /* 64-byte commands, 16-byte completions */

#define CSTS_RDY 1u
#define CSTS_CFS 2u

#define AQA_SQ_ENTRIES(aqa) (((aqa)&0xfff) + 1)
#define AQA_CQ_ENTRIES(aqa) (((aqa) >> 16 & 0xfff) + 1)

/* ---- Commands and completions (Base 2.0 section 3.3.3) ---- */

struct nvme_command {
    uint8_t opcode;
    uint8_t flags; /* FUSE in bits 1:0, PSDT in bits 7:6 */
    uint16_t cid;
    uint32_t nsid;
    uint32_t cdw2, cdw3;
    uint64_t metadata;
    uint64_t prp1, prp2; /* or one SGL descriptor */
    uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(struct nvme_command) == 64, "NVMe Base 2.0 figure 87");
#define COMMAND_FUSE(flags) ((flags)&3)
#define COMMAND_PSDT(flags) ((flags) >> 6)

struct nvme_completion {
    uint32_t result, result_high;
    uint16_t sq_head, sq_id;
    uint16_t cid;
    uint16_t status; /* bit 0 phase; bits 15:1 are an nvme_status */
};
static_assert(sizeof(struct nvme_completion) == 16, "NVMe Base 2.0 figure 90");

/* A status field without its phase bit: code in bits 7:0, type in bits 10:8, do-not-retry in bit 14. */
typedef uint16_t nvme_status;
#define STATUS_DNR           0x4000u
#define STATUS_TYPE_SPECIFIC 0x100u
enum {
    STATUS_SUCCESS = 0,
    STATUS_INVALID_OPCODE = STATUS_DNR | 0x01,
    STATUS_INVALID_FIELD = STATUS_DNR | 0x02,
    STATUS_DATA_TRANSFER = STATUS_DNR | 0x04,
    STATUS_INTERNAL = STATUS_DNR | 0x06,
    STATUS_INVALID_NAMESPACE = STATUS_DNR | 0x0b,
    STATUS_SGL_SEGMENT = STATUS_DNR | 0x0d,
    STATUS_SGL_COUNT = STATUS_DNR | 0x0e,
    STATUS_SGL_LENGTH = STATUS_DNR | 0x0f,
    STATUS_SGL_TYPE = STATUS_DNR | 0x11,
    STATUS_PRP_OFFSET = STATUS_DNR | 0x13,
    STATUS_WRITE_PROTECTED = STATUS_DNR | 0x20,
    STATUS_LBA_RANGE = STATUS_DNR | 0x80,
    STATUS_CQ_INVALID = STATUS_DNR | STATUS_TYPE_SPECIFIC | 0x00,
    STATUS_QUEUE_ID = STATUS_DNR | STATUS_TYPE_SPECIFIC | 0x01,
    STATUS_QUEUE_SIZE = STATUS_DNR | STATUS_TYPE_SPECIFIC | 0x02,
    STATUS_QUEUE_DELETION = STATUS_DNR | STATUS_TYPE_SPECIFIC | 0x0c,
    STATUS_INVALID_LOG = STATUS_DNR | STATUS_TYPE_SPECIFIC | 0x09,
    STATUS_WAIT = 0xffff, /* not on the wire: the command cannot start now */
};

enum nvme_admin_opcode {
    ADMIN_DELETE_SQ = 0x00,
    ADMIN_CREATE_SQ = 0x01,
    ADMIN_GET_LOG = 0x02,
    ADMIN_DELETE_CQ = 0x04,
    ADMIN_CREATE_CQ = 0x05,
    ADMIN_IDENTIFY = 0x06,
    ADMIN_ABORT = 0x08,
    ADMIN_SET_FEATURES = 0x09,
    ADMIN_GET_FEATURES = 0x0a,
    ADMIN_ASYNC_EVENT = 0x0c,
    ADMIN_KEEP_ALIVE = 0x18,
    ADMIN_DOORBELL_BUFFER = 0x7c,
};

enum nvme_io_opcode {
    IO_FLUSH = 0x00,
    IO_WRITE = 0x01,
    IO_READ = 0x02,
    IO_COMPARE = 0x05,
    IO_WRITE_ZEROES = 0x08,
    IO_DATASET = 0x09,
    IO_VERIFY = 0x0c,
};

#define QUEUE_CONTIGUOUS    1u /* CDW11 of Create Queue */
#define QUEUE_INTERRUPTS    2u
#define SQ_PRIORITY         6u
#define BROADCAST_NAMESPACE 0xffffffffu

#define RW_BLOCKS(cdw12) (((cdw12)&0xffff) + 1)
#define RW_LIMITED_RETRY (1u << 31)
#define RW_FORCE_ACCESS  (1u << 30)
#define RW_PROTECTION    (0xfu << 26) /* PRINFO */
#define RW_PRACT         (1u << 29)   /* the controller makes and takes away the protection information */
#define PROTECTION_BYTES 8
#define RW_HINTS         0xffu /* CDW13: dataset management hints */

#define FEATURE_QUEUES    0x07u
#define FEATURE_APST      0x0cu
#define FEATURE_TIMESTAMP 0x0eu
#define FEATURE_HOST      0x16u

#define DATASET_RANGES_MAX 256
#define DATASET_ADVICE     7u /* attributes in CDW11 */
struct nvme_dataset_range {
    uint32_t attributes, blocks;
    uint64_t lba;
};
static_assert(sizeof(struct nvme_dataset_range) == 16, "NVM Command Set 1.0 figure 41");

struct nvme_sgl {
    uint64_t address;
    uint32_t length;
    uint8_t reserved[3];
    uint8_t type; /* descriptor type in bits 7:4, sub type in bits 3:0 */
};
static_assert(sizeof(struct nvme_sgl) == 16, "NVMe Base 2.0 section 4.1.2");
#define SGL_DATA         0x00
#define SGL_SEGMENT      0x20
#define SGL_LAST_SEGMENT 0x30

/* ---- Identify (Base 2.0 section 5.17.2) ---- */

#define IDENTIFY_BYTES        4096
#define IDENTIFY_NAMESPACE    0x00u
#define IDENTIFY_CONTROLLER   0x01u
#define IDENTIFY_ACTIVE       0x02u
#define IDENTIFY_SERIAL       4
#define IDENTIFY_SERIAL_BYTES 20
#define IDENTIFY_FORMATS      16 /* LBA format entries are told of in all versions; 64 with extended formats */
#define FORMAT_BLOCK_SHIFT(f) ((f) >> 16 & 0xff)
#define FORMAT_METADATA(f)    ((f)&0xffff)

#endif
