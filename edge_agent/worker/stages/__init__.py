"""One file a stage, each with `run(context)`. No stage imports another."""
