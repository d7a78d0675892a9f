"""Every TOML that an operator writes: the device, inputs, recipe, shared sensors."""
