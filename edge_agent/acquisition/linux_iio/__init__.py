"""Linux's industrial I/O: the devices of /sys/bus/iio, and the layout of their buffers."""
