"""One file per stage, each with one ``run(context)``. A stage is a function of its job's directory.

This package runs only in worker processes: it loads numpy and the runtimes, which the daemon never does.
"""
