"""One file per stage, each with one ``run(context)``; a stage is a function of its job's directory.

Runs only in worker processes: here are numpy and the runtimes that the daemon never loads.
"""
