/* Finds the variable tensors of models, one file an argument, sets and clears their flags, and prints their number.
 * Each model lies in memory of exactly its size. Built with sanitizers by the tests. */
#include <stdio.h>
#include <stdlib.h>

#include "variables.h"

int main(int argc, char **argv)
{
    static struct variables found;
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file || fseek(file, 0, SEEK_END))
            return 1;
        size_t size = (size_t)ftell(file);
        rewind(file);
        uint8_t *model = malloc(size ? size : 1);
        if (!model || fread(model, 1, size, file) != size)
            return 1;
        fclose(file);
        variables_find(&found, model, size);
        variables_set(&found, model, 0);
        variables_set(&found, model, 1);
        printf("%zu\n", found.count);
        free(model);
    }
    return 0;
}
