/* Reads documents, each after its size in 4 bytes, and says of each whether json.c takes it, and what a digest is. */
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "sha256.h"

/* All texts and numbers in the order in which they come, so that each value is looked at. */
static void show(const struct json *json)
{
    char text[4096];
    double number;
    for (uint32_t i = 0; i < json->count; i++)
        if (json_string(json, i, text, sizeof text))
            printf("\t\"%s\"", text);
        else if (json_number(json, i, &number))
            printf("\t%.17g", number);
}

int main(void)
{
    unsigned char head[4];
    while (fread(head, 1, 4, stdin) == 4) {
        size_t size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
        char error[200], digest[SHA256_TEXT],
            *text = malloc(size ? size : 1); /* no byte more: a reader that goes on is seen */
        struct json json;
        if (!text || fread(text, 1, size, stdin) != size)
            return 1;
        sha256((const unsigned char *)text, size, digest);
        printf("%s", digest);
        if (json_read(&json, text, size, error, sizeof error)) {
            printf("\ttaken");
            show(&json);
            json_free(&json);
        } else {
            printf("\trefused\t%s", error);
        }
        putchar('\0');
        free(text);
    }
    return 0;
}
