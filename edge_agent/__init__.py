"""edge-agent: quantizes float models on the device that runs them, and proves that int8 still does what float did."""

__version__ = "0.2.0.dev0"
