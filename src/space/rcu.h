/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place that knows liburcu (the flavour that needs no registration of the callers'
 * threads). Its barriers are invisible to ThreadSanitizer, so under it each edge is told by hand:
 * publish -> read, and end of a read section -> reclamation.
 */
#ifndef XENGASP_SPACE_RCU_H
#define XENGASP_SPACE_RCU_H

#if defined(__has_feature)
#define RCU_HAS_FEATURE(x) __has_feature(x)
#else
#define RCU_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || RCU_HAS_FEATURE(thread_sanitizer)
#define XENGASP_TSAN 1
#endif

/*
 * The read side inline, on which answering a guest depends. Not where the accesses are checked:
 * liburcu 0.13 places its readers' records less aligned than their type says.
 */
#if !defined(__SANITIZE_ADDRESS__) && !RCU_HAS_FEATURE(address_sanitizer) && !defined(XENGASP_TSAN)
#define _LGPL_SOURCE
#endif
#include <urcu/urcu-bp.h>

#ifdef XENGASP_TSAN
#include <sanitizer/tsan_interface.h>
#define rcu_tsan_release(addr) __tsan_release(addr)
#define rcu_tsan_acquire(addr) __tsan_acquire(addr)
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#else
#define rcu_tsan_release(addr) ((void)(addr))
#define rcu_tsan_acquire(addr) ((void)(addr))
#endif

/*
 * `domain`: any address that readers and the reclaimer of one structure share, and that nobody
 * stores to atomically. A read section that used several structures tells the others with rcu_done
 * before it leaves.
 */
static inline void rcu_enter(void)
{
    urcu_bp_read_lock();
}

static inline void rcu_done(void *domain)
{
    rcu_tsan_release(domain);
}

static inline void rcu_leave(void *domain)
{
    rcu_done(domain);
    urcu_bp_read_unlock();
}

/* Waits for all read sections that have begun. Not inside one. */
static inline void rcu_wait(void *domain)
{
    urcu_bp_synchronize_rcu();
    rcu_tsan_acquire(domain);
}

/*
 * Has fn(head) called, in a thread of liburcu's, when all read sections that have begun are over.
 * Doesn't wait. fn begins with rcu_reclaim of head, then of the domain.
 */
static inline void rcu_defer(struct rcu_head *head, void (*fn)(struct rcu_head *head))
{
    rcu_tsan_release(head);
    urcu_bp_call_rcu(head, fn);
}

static inline void rcu_reclaim(void *head_or_domain)
{
    rcu_tsan_acquire(head_or_domain);
}

/* Waits until everything deferred so far has been called. Not inside a read section. */
static inline void rcu_drain(void)
{
#ifdef XENGASP_TSAN
    /* liburcu's own allocations, freed by its thread, would look like races. */
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
    urcu_bp_barrier();
#ifdef XENGASP_TSAN
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
}

#define rcu_get(pointer) __atomic_load_n(&(pointer), __ATOMIC_ACQUIRE)
#define rcu_put(pointer, value) __atomic_store_n(&(pointer), (value), __ATOMIC_RELEASE)

#endif
