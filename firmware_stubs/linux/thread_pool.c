#include "thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* How often a thread looks for work before it sleeps: some tens of microseconds, so that workers are awake from one
 * kernel to the next and asleep between inferences. */
enum { LOOKS = 4000 };

/* `state` is the number of the current work (32 bits), its tasks (16) and the next task (16). One addition claims a
 * task, together with the number of tasks it is one of: a thread that comes late learns from its own claim that nothing
 * is left, whatever is being prepared meanwhile. `task` and `data` are stable while a claimed task has not returned. */
struct pool {
    struct ek_pool shared;
    int (*task)(uint32_t, void *);
    void *data;
    uint32_t works; /* so far */
    _Atomic uint64_t state;
    _Atomic uint32_t done, sleeping;
    _Atomic int status;
    atomic_bool ends;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    uint32_t workers;
    pthread_t thread[];
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool has_tasks(uint64_t state)
{
    return (state & 0xffff) < (state >> 16 & 0xffff);
}

/* Do tasks until none is left to claim. */
static void work(struct pool *pool)
{
    while (has_tasks(atomic_load_explicit(&pool->state, memory_order_relaxed))) {
        uint64_t claim = atomic_fetch_add(&pool->state, 1);
        if (!has_tasks(claim))
            return;
        int status = pool->task(claim & 0xffff, pool->data);
        if (status)
            atomic_store_explicit(&pool->status, status, memory_order_relaxed);
        atomic_fetch_add_explicit(&pool->done, 1, memory_order_release);
    }
}

static bool awaited(struct pool *pool)
{
    return has_tasks(atomic_load(&pool->state)) || atomic_load(&pool->ends);
}

static void *worker(void *data)
{
    struct pool *pool = data;
    while (!atomic_load(&pool->ends)) {
        for (int i = 0; i < LOOKS && !awaited(pool); i++)
            pause_briefly();
        if (!awaited(pool)) {
            pthread_mutex_lock(&pool->mutex);
            atomic_fetch_add(&pool->sleeping, 1);
            while (!awaited(pool))
                pthread_cond_wait(&pool->wake, &pool->mutex);
            atomic_fetch_sub(&pool->sleeping, 1);
            pthread_mutex_unlock(&pool->mutex);
        }
        work(pool);
    }
    return NULL;
}

static void wake_all(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

static int share(struct ek_pool *shared, int (*task)(uint32_t, void *), void *data, uint32_t tasks)
{
    struct pool *pool = (struct pool *)shared;
    if (tasks > POOL_MAX_TASKS)
        return -1;
    pool->task = task;
    pool->data = data;
    atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->status, 0, memory_order_relaxed);
    atomic_store(&pool->state, (uint64_t)++pool->works << 32 | (uint64_t)tasks << 16);
    if (atomic_load(&pool->sleeping))
        wake_all(pool);
    work(pool);
    for (int i = 0; atomic_load_explicit(&pool->done, memory_order_acquire) < tasks; i++) {
        if (i < LOOKS)
            pause_briefly();
        else
            sched_yield(); /* a worker has lost its processor */
    }
    return atomic_load_explicit(&pool->status, memory_order_relaxed);
}

struct ek_pool *pool_create(uint32_t threads)
{
    if (threads < 1 || threads > POOL_MAX_THREADS)
        return NULL;
    struct pool *pool = calloc(1, sizeof *pool + (threads - 1) * sizeof pool->thread[0]);
    if (!pool)
        return NULL;
    pool->shared.threads = threads;
    pool->shared.share = share;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    while (pool->workers < threads - 1) {
        if (pthread_create(&pool->thread[pool->workers], NULL, worker, pool)) {
            pool_destroy(&pool->shared);
            return NULL;
        }
        pool->workers++;
    }
    return &pool->shared;
}

void pool_destroy(struct ek_pool *shared)
{
    struct pool *pool = (struct pool *)shared;
    if (!pool)
        return;
    atomic_store(&pool->ends, true);
    wake_all(pool);
    for (uint32_t i = 0; i < pool->workers; i++)
        pthread_join(pool->thread[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}
