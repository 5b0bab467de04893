/* Reads plans, one file an argument, and says of each whether it was accepted. Built with sanitizers by the tests. */
#include <stdio.h>
#include <stdlib.h>

#include "plan.h"

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        static char text[1 << 20];
        char error[128] = "";
        struct plan plan;
        FILE *file = fopen(argv[i], "rb");
        size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
        text[size] = 0;
        if (file)
            fclose(file);
        bool accepted = plan_read(&plan, text, error, sizeof error);
        printf("%s\n", accepted ? "accepted" : error);
        for (uint32_t k = 0; accepted && k < plan.kernels; k++) {
            const struct plan_step *step = &plan.step[k];
            if (step->clear + step->clear_size > plan.arena_bytes)
                abort();
            for (uint32_t a = 0; a < step->count; a++)
                if (step->argument[a].offset > (step->argument[a].constant ? plan.weights_bytes : plan.arena_bytes))
                    abort();
        }
    }
    return 0;
}
