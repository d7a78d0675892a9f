"""Detectors: what boxes a head's outputs say, and which of float's boxes int8 has, too. Pure.

    recognition whether an output is a head at all, where nobody has said it
    layouts     which layout a head's outputs have, found from float's outputs or given
    decode      a head's outputs become boxes with a score and a class
    suppress    of boxes on one object the strongest stays
    plausible   whether values can be the boxes and scores of a layout
    match       each box and its partner
    room        how near boxes came to having no partner
    kept        how many of float's boxes int8 keeps over a whole set

Everywhere detections are a table ``[N, 6]``: x1, y1, x2, y2, score, class. Stages of a job and
:mod:`edge_agent.serving` share it, so an application gets the boxes that were judged.
"""

SCORE, CLASS = 4, 5
COLUMNS = 6
"""Of a table of detections."""
