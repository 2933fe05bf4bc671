"""What another process is writing, read."""


def whole_lines(path):
    """The lines of a file that are ended: the last one may be half there. None of a file that is not there yet."""
    text = path.read_text() if path.exists() else ""
    return text[:text.rfind("\n") + 1].splitlines()
