"""Linux's industrial I/O: the devices of /sys/bus/iio, and the layout of what they write."""
