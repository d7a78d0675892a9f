"""Detectors: the boxes in a head's outputs, and their matches between float and int8. Pure.

    recognition whether an unnamed output is a head at all
    layouts     the layout of a head's outputs, given or found from float's outputs
    decode      converts a head's outputs into boxes with a score and a class
    suppress    keeps the strongest of the boxes on one object
    plausible   whether values can be the boxes and scores of a layout
    match       pairs of boxes that are the same
    room        how near boxes came to losing their partner
    kept        how many of float's boxes int8 keeps over a whole set

Detections are a table ``[N, 6]`` everywhere: x1, y1, x2, y2, score, class. Stages of a job and
:mod:`edge_agent.serving` share this code, so an application gets the boxes that were judged.
"""

SCORE, CLASS = 4, 5
COLUMNS = 6
"""Columns of a table of detections."""
