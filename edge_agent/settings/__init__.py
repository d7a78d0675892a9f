"""Every TOML file that an operator writes: device, inputs, recipe, shared sensors."""
