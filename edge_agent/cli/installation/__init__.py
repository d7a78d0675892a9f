"""The parts of ``edge-agent install``, one per module.

requirement the requirement that pip gets
shipped     the files of that version: number, unit, example configuration, tested dependencies
versions    a folder for each version, and the link ``current`` to the one that runs
additions   packages that an operator has added to the version before
environment a venv that pip fills
host        files outside the prefix: user, configuration, unit, command
service     systemd: restart, and whether the daemon stays up
processes   the processes that run from a folder
"""
