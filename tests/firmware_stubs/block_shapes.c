/* Prints grid and block of launches: six numbers a line, or "refused". The arguments are work-items, three a launch. */
#include <stdio.h>
#include <stdlib.h>

#include "cuda/cuda_network.c"

int main(int argc, char **argv)
{
    for (int i = 1; i + 2 < argc; i += 3) {
        struct launch l;
        size_t size[3];
        for (int k = 0; k < 3; k++)
            size[k] = strtoull(argv[i + k], NULL, 10);
        if (shape(&l, size))
            printf("%u %u %u %u %u %u\n", l.grid[0], l.grid[1], l.grid[2], l.block[0], l.block[1], l.block[2]);
        else
            puts("refused");
    }
    return 0;
}
