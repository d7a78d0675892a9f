"""Recordings that are tables of text: ``.csv``, ``.tsv``, ``.txt``, as loggers, spreadsheets and programs write them.

What a file may look like is found by counting over its first lines (:mod:`.layout`); nothing of it is configured.

* ``lines``: bytes become numbered lines, whatever the encoding and the ends of lines
* ``fields``: a line becomes fields, a field a number
* ``units``: ``ax [m/s²]`` is a name and a unit
* ``stamps``: times become seconds
* ``layout``: separator, decimal mark, header, units
* ``columns``: which of them are channels, and their names
* ``refusals``: why a file is no table
* ``pace``: the rate and the gaps that time stamps tell of
* ``rows``: lines become rows of numbers, or a reason why not
* ``recording``: the file played as a sensor, read twice and never held whole where it is large
"""
