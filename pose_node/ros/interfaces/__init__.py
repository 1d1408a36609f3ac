"""Messages that ROS has and PyPI has not: their definitions, and what makes Python packages of them.

A folder per package holds its ``.msg`` files: the fields of the released packages, so the type hashes are the same and
both talk to each other. A machine with ROS installed uses its own packages.
"""
