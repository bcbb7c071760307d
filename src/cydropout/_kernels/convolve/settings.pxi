# A convolution of maps (samples, height, width, channels) with filters, and its windows.
ctypedef struct convolve_t:
    windows_t windows
    uint64_t samples
    uint64_t filters
    uint64_t panel            # filters of a panel
    const void *panels        # of the filters, each (window, filters of the panel)
    const void *dz
    uint64_t chunks           # of the samples, each with sums of its own
