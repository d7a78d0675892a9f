"""The demo: a broker, a simulated device and a model, on one machine and offline."""
