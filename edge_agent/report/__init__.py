"""A result for people: as a page of HTML with the verdict, its numbers and the ranges, as text, and as pictures.

Pure: a result object, histograms and ranges in, a string out. The page fetches and runs nothing. It contains its style
and pictures, so it opens offline, from a mail or an archive, in the light or dark theme of the reader's system.

Invariants:
    * every text passes through :func:`.html.markup.element`, which escapes it: names come from foreign models and data;
    * an unknown value is a dash, never a number;
    * the whole result object is at the end of the page, as it is in ``report.json``.
"""
