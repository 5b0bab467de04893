/* Whatever a bundle's task is: gives the library material of all kinds, and asks for all decisions. */
#ifndef EDGEKIT_RUNTIME_TASKS_H
#define EDGEKIT_RUNTIME_TASKS_H

#include "edgekit.h"

/* How many kinds of material the task took. What does not suit it must be refused with a line of its own, and nothing
   may be written beyond the room that is said to be there. -1 where that is not so. */
int tasks_decide(edgekit_instance *network);

#endif
