"""Message packages that ROS has and PyPI lacks: their definitions, and a build that makes Python packages of them.

Each folder is a package with its ``.msg`` files. The fields are those of the released packages, so the type hashes are equal
and nodes with either can communicate. A machine with ROS installed uses its own packages.
"""
