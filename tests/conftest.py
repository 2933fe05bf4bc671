"""Here, so that pytest finds ports.py and whatever else all tests share."""
