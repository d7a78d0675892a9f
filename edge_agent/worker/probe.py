"""The name under which a daemon of version 0.1 starts :mod:`edge_agent.worker.measure.probe`; version 0.3 drops it.

An upgrade in place replaces the files under a daemon that still runs.
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("edge_agent.worker.measure.probe", run_name="__main__")
