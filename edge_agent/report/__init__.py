"""One result as one page of HTML: what was decided, by which numbers, and what the ranges look like.

Pure: a result object, histograms and ranges in, a string out. The page fetches nothing and runs nothing: style and
pictures are in it, so it opens offline, from a mail or an archive, in the light or the dark as its reader's system is.

Invariants:
    * every text passes through :func:`.html.markup.element`, which escapes it: names come from models and data of
      others;
    * what is not known is a dash, never a number;
    * the whole result object stands at the end of the page as it is in ``report.json``.
"""
