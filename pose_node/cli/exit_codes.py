"""Exit codes of ``pose_node``."""

DONE = 0
BAD_INPUT = 2  # bad usage or input: one sentence on stderr
NOTHING_FOUND = 3  # ran, and found nothing
INTERRUPTED = 130  # Ctrl-C
READER_LEFT = 141  # the reader of standard output ended, as with ``| head``
