"""``edge-agent try``: what int8 saves a model here, before anybody has written a manifest.

* ``command``: the command line and its story
* ``request``: a checked command line
* ``plan``: how the model is fed and judged, guessed from its file or read from a corrected manifest
* ``rows``: the data: an operator's files, a sensor, or random numbers
* ``measured``: the engine's stages on them
* ``shown``: what a person reads
"""
