/* Calls tokens.c: argv holds a tokenizer's file, and how many tokens a text has. Standard input holds texts, each after
 * its size in four bytes; of each, the tokens used and the tokens go out, four bytes each. */
#include <stdio.h>
#include <stdlib.h>

#include "tokens.h"

int main(int argc, char **argv)
{
    char error[200];
    struct tokens *t;
    uint32_t size, used, length = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    if (!file || fseek(file, 0, SEEK_END))
        return 9;
    size_t bytes = (size_t)ftell(file);
    char *content = malloc(bytes + 1);
    int32_t *id = calloc(length + 1, sizeof *id);
    rewind(file);
    if (!content || !id || fread(content, 1, bytes, file) != bytes)
        return 9;
    fclose(file);
    if (!tokens_read(&t, content, bytes, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        free(content);
        free(id);
        return 1;
    }
    free(content);
    while (fread(&size, sizeof size, 1, stdin) == 1) {
        char *text = malloc(size ? size : 1);
        if (!text || fread(text, 1, size, stdin) != size)
            return 9;
        for (int twice = 0; twice < 2; twice++) /* the second time with what the first left */
            if (tokens_encode(t, text, size, id, length, &used))
                used = UINT32_MAX;
        fwrite(&used, sizeof used, 1, stdout);
        for (uint32_t i = 0; i < length; i++) {
            if (used != UINT32_MAX && (id[i] < 0 || (uint32_t)id[i] >= tokens_size(t)))
                abort();
            fwrite(&id[i], sizeof id[i], 1, stdout);
        }
        free(text);
    }
    tokens_free(t);
    free(id);
    return 0;
}
