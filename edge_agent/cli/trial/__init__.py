"""``edge-agent try``: measures what int8 saves for a model on this device, before a manifest exists.

* ``command``: the command line and its story
* ``request``: a checked command line
* ``plan``: how the model is fed and judged, guessed from its file or read from a corrected manifest
* ``rows``: the data: an operator's files, a sensor, or random numbers
* ``measured``: the engine's stages on them
* ``shown``: what a person reads
"""
