"""The exit code that is not an error's."""

INTERRUPTED = 130  # 128 + SIGINT, as shells count
