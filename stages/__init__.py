"""Thin DVC stages: read params and files, call fer_core, write files.

Beside a warm process, `python -m stages.<name>` is over with this import.
"""

from stages.lib.warm import hand_over

hand_over()
