"""Recordings in text tables: ``.csv``, ``.tsv``, ``.txt``, as loggers, spreadsheets and programs write them.

The layout of a file is detected from its first lines (:mod:`.layout`); none of it is configured.

* ``lines``: decodes bytes to numbered lines, with any encoding and line ending
* ``fields``: splits a line into fields, and parses numbers
* ``units``: splits ``ax [m/s²]`` into a name and a unit
* ``stamps``: converts time stamps to seconds
* ``layout``: detects separator, decimal mark, header and units
* ``columns``: selects and names the channels
* ``refusals``: reasons why a file is no table
* ``pace``: derives the rate and the gaps from time stamps
* ``rows``: parses lines to rows of numbers, or reasons why not
* ``recording``: replays the file as a sensor; reads it twice, and never stores a large one whole
"""
