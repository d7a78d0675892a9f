"""What ``edge-agent install`` does, a part a module: what pip installs, where to, and which service runs it.

origin      what pip is asked for
shipped     what that version brings along: its number, unit, example configuration, tested dependencies
versions    a folder for each version, and the link ``current`` that names the one that runs
additions   what an operator has installed beside the version before
environment a venv that is filled by pip
host        what lies elsewhere: user, configuration, unit, command
service     systemd: restart, and whether the daemon stays up
processes   who runs from a folder
"""
