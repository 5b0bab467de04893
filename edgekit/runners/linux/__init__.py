"""What runners that execute ``edgekit-run`` share: its process, the kernels that ran, and whose work they are."""
