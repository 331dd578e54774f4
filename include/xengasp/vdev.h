/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How to write a virtual device. The model and its names are QNX's (vdev_factory, vread, vwrite,
 * ...); what its published manuals leave open is marked (ours).
 *
 * A vdev is a factory, registered from a constructor, and an instance (vdev_t) for each time it is
 * configured. Its whole source can be one short file: src/vdevs/null/null.c is the template.
 *
 *     OPTIONS_START -> FIRST_OPTIDX + n for each option -> OPTIONS_END
 *     -> ASSIGN -> GUEST_CONFIGURED -> GUEST_STARTING
 *     -> vread, vwrite while the guest runs -> TERMINATE
 *
 * The core calls an instance's control and handlers one at a time, unless its factory sets
 * VFF_THREADSAFE. It checks an access once, so that vread and vwrite never do: it lies inside the
 * region, its size is one of acc_sizes.
 */
#ifndef XENGASP_VDEV_H
#define XENGASP_VDEV_H

#include <pthread.h>
#include <stdint.h>
#include <xengasp/guest.h>
#include <xengasp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct guest_cpu; /* the vCPU whose access is being served */

enum vdev_ctrl {
    VDEV_CTRL_OPTIONS_START = 0,    /* v_device is zeroed; set defaults */
    VDEV_CTRL_OPTIONS_END = 1,      /* this vdev's options are known */
    VDEV_CTRL_GUEST_CONFIGURED = 2, /* the guest is complete; the regions are set */
    VDEV_CTRL_TERMINATE = 3,        /* the end: no handler runs any more; free what you hold */
    VDEV_CTRL_STATUS = 4,           /* not sent yet: log a line about your state */
    VDEV_CTRL_GEN_ACPI = 5,         /* not sent */
    VDEV_CTRL_GEN_FDT = 6,          /* not sent */
    VDEV_CTRL_BUTTON = 7,           /* not sent yet: the power button */
    VDEV_CTRL_ASSIGN =
        8, /* (value ours) all options of all vdevs are known: choose a location now */
    VDEV_CTRL_GUEST_STARTING = 9, /* (value ours) last call before accesses arrive */
    VDEV_CTRL_FIRST_OPTIDX =
        0x100, /* (value ours) + n: option_list[n] was given, arg is its value */
};

enum vdev_ref_status {
    VRS_NORMAL = 0,    /* (values ours) */
    VRS_BUS_ERROR = 1, /* as an access that nobody answers: all ones, dropped; counted, logged if so
                          configured */
    VRS_ERRNO = 2,     /* + errno: the same */
};

enum vdev_factory_flags {
    VFF_NONE = 0,
    VFF_INTR_NO = 2,
    VFF_INTR_REQ = 4,
    VFF_INTR_NONPCI = 8,
    VFF_LOC_NO = 0x10,      /* takes no location */
    VFF_VDEV_MEM = 0x20,    /* may lie in memory */
    VFF_VDEV_X86_IO = 0x40, /* may lie among the ports */
    VFF_VDEV_PCI = 0x80,
    VFF_VDEV_LOC_TYPES = VFF_VDEV_MEM | VFF_VDEV_X86_IO | VFF_VDEV_PCI,
    VFF_MUTEX = 0x100, /* v_mtx is initialised, for the vdev's own use */
    VFF_MUTEX_RECURSIVE = 0x200,
    VFF_MANUAL_REGION = 0x800, /* the vdev sets its regions itself */
    VFF_THREADSAFE = 0x10000,  /* (ours) handlers may run on several vCPUs at once */
};

/* Access sizes, for acc_sizes. */
#define VDEV_SIZE(bytes) (1u << (bytes))
#define VDEV_SIZES_ALL (VDEV_SIZE(1) | VDEV_SIZE(2) | VDEV_SIZE(4) | VDEV_SIZE(8))

struct vdev_factory {
    size_t size;                                                 /* set by vdev_register_factory */
    struct vdev_factory *next;                                   /* the list's */
    int (*control)(vdev_t *vdp, unsigned ctrl, const char *arg); /* required; 0 or an errno value */
    /* vopnd: where the guest accessed and how many bytes; oopnd: the other operand, for
     * guest_cpu_write (vread) or guest_cpu_read (vwrite). NULL: as VRS_BUS_ERROR. */
    enum vdev_ref_status (*vread)(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                  const struct qvm_state_block *oopnd, struct guest_cpu *gcp);
    enum vdev_ref_status (*vwrite)(vdev_t *vdp, unsigned cookie,
                                   const struct qvm_state_block *vopnd,
                                   const struct qvm_state_block *oopnd, struct guest_cpu *gcp);
    /* Names, NULL at the end; one that begins with '0' takes no value. */
    const char *const *option_list;
    const char *name;
    const char *summary;    /* (ours) one line for lists and help */
    unsigned factory_flags; /* enum vdev_factory_flags */
    unsigned acc_sizes;     /* VDEV_SIZE(...) of what it takes; another size reads all ones */
    unsigned extra_space;   /* bytes of v_device */
    uint64_t length; /* (ours) bytes of its region; 0 with VFF_MANUAL_REGION, or set v_block.length
                        in OPTIONS_END */
};

struct vdev_s {
    void *v_device; /* the instance's own: extra_space bytes, zeroed */
    struct vdev_factory *v_factory;
    struct guest_system *v_gsp;
    struct qvm_state_block v_block; /* where it lies; type QST_NO_TYPE until chosen */
    pthread_mutex_t v_mtx;          /* with VFF_MUTEX; never held by the core */
    const char *v_name;             /* (ours) "name=" or the factory's name */
};

#define QVM_VDEV_ABI 1

/* From a constructor. EINVAL: ABI or factory unusable; EEXIST: name taken. */
XENGASP_API int vdev_register_factory_sized(struct vdev_factory *factory, unsigned abi,
                                            size_t size);
#define vdev_register_factory(factory, abi)                                                        \
    vdev_register_factory_sized((factory), (abi), sizeof(struct vdev_factory))

/* (ours) The factories in order of registration: NULL gives the first, the last gives NULL. */
XENGASP_API const struct vdev_factory *vdev_factory_next(const struct vdev_factory *factory);

/* (ours) Where in its region the guest accessed. */
static inline uint64_t vdev_offset(const vdev_t *vdp, const struct qvm_state_block *vopnd)
{
    return vopnd->location - vdp->v_block.location;
}

/* (ours) A line of the log that a guest can provoke: at most a few a second for each vdev, the rest
 * is counted. */
XENGASP_API void vdev_log(vdev_t *vdp, enum guest_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* (ours) Names a vCPU, for logs. */
XENGASP_API unsigned guest_cpu_index(const struct guest_cpu *gcp);

enum guest_xfer_flags { GXF_NONE = 0 };

/*
 * vwrite: fetches what the guest writes, as the low data_len bytes of oopnd (zero-extended). vread:
 * answers. blk may also be a QST_MEMORY block: the guest's RAM. nblks is 1. 0 (EOK) or an errno
 * value: EINVAL lengths, ENOTSUP type, ENOENT no RAM.
 */
XENGASP_API int guest_cpu_read(struct guest_cpu *gcp, unsigned flags,
                               const struct qvm_state_block *blk, unsigned nblks, void *data,
                               unsigned data_len);
XENGASP_API int guest_cpu_write(struct guest_cpu *gcp, unsigned flags,
                                const struct qvm_state_block *blk, unsigned nblks, const void *data,
                                unsigned data_len);
/* The answer to a read that makes no sense. */
XENGASP_API int guest_write_all_ones(struct guest_cpu *gcp, unsigned flags,
                                     const struct qvm_state_block *blk);

#ifdef __cplusplus
}
#endif

#endif
