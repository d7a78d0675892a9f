"""The parts of a page that need no more than the result object: cards, tables, plots. No numpy."""
