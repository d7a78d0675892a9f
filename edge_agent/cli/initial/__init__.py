"""``edge-agent init``: a configuration from a few answers.

* ``questions``: what is asked, and how the answer is checked
* ``sensors``: which sensors hang on this device
* ``config_text``: the shipped example with the answers filled in; ``install`` uses it, too
"""
