/* What the program runs on, for the trace: a reader of the figures must know. */
#ifndef EDGEKIT_MACHINE_H
#define EDGEKIT_MACHINE_H

struct machine {
    char model[128]; /* of the board or computer; empty where unknown */
    char cpu[128];
    double clock_mhz; /* of core 0 at the moment of asking; 0 where unknown */
};

/* Files are read below `root` ("" for the real ones). */
void machine_read(struct machine *machine, const char *root);

/* Largest resident memory so far, bytes; 0 where unknown. */
long long machine_peak_bytes(void);

#endif
