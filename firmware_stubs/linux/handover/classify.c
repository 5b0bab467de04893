/* Usage: classify BUNDLE IN OUT */
#include <stdio.h>
#include <stdlib.h>

#include <edgekit.h>

static void stop(const char *why)
{
    fprintf(stderr, "classify: %s\n", why);
    exit(1);
}

int main(int argc, char **argv)
{
    edgekit_instance *network;
    if (argc != 4)
        stop("usage: classify BUNDLE IN OUT");
    if (edgekit_open(argv[1], NULL, &network))
        stop(edgekit_error(NULL));
    FILE *in = fopen(argv[2], "rb"), *out = fopen(argv[3], "wb");
    if (!in || !out)
        stop("cannot open the files");
    const struct edgekit_tensor *input = edgekit_input(network, 0), *output = edgekit_output(network, 0);
    printf("%s %s of %zu bytes -> %s %s of %zu bytes\n", input->dtype, input->name, input->bytes, output->dtype,
           output->name, output->bytes);
    while (fread(edgekit_input_data(network, 0), 1, input->bytes, in) == input->bytes) {
        if (edgekit_run(network))
            stop(edgekit_error(network));
        fwrite(edgekit_output_data(network, 0), 1, output->bytes, out);
    }
    edgekit_close(network);
    return fclose(out) != 0;
}
