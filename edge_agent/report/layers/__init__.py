"""The page of one result, and the histograms in it, which need numpy."""
