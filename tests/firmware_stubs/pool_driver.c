/* Shares work of many sizes among a pool's threads, and checks that each task ran once and saw its own work's data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "thread_pool.h"

enum { MOST = 300 };

struct work {
    uint32_t number, ran[MOST];
    int fails;
};

static int task(uint32_t index, void *data)
{
    struct work *work = data;
    work->ran[index] += work->number; /* a second thread with the same task would race */
    return work->fails == (int)index ? 7 : 0;
}

int main(int argc, char **argv)
{
    uint32_t threads = (uint32_t)atoi(argv[1]), works = (uint32_t)atoi(argv[2]), wrong = 0;
    struct work work;
    (void)argc;
    struct ek_pool *pool = pool_create(threads);
    if (!pool) {
        puts("no pool");
        return 0;
    }
    for (uint32_t n = 1; n <= works; n++) {
        uint32_t tasks = n * 7 % MOST;
        memset(&work, 0, sizeof work);
        work.number = n;
        work.fails = n % 5 ? -1 : (int)tasks - 1;
        int status = pool->share(pool, task, &work, tasks), expected = tasks && n % 5 == 0 ? 7 : 0;
        wrong += status != expected;
        for (uint32_t i = 0; i < MOST; i++)
            wrong += work.ran[i] != (i < tasks ? n : 0);
        if (n % 500 == 0)
            usleep(2000); /* long enough for workers to fall asleep */
    }
    uint32_t too_many = pool->share(pool, task, &work, POOL_MAX_TASKS + 1) != 0;
    printf("threads %u, wrong %u, too many refused %u\n", pool->threads, wrong, too_many);
    pool_destroy(pool);
    pool_destroy(NULL);
    return 0;
}
