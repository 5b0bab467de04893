"""What every runner of LiteRT bundles shares: the runner's process, its kernels, and whose work they are."""
