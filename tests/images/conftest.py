"""Real image files to open, and a cache of the test's own."""

from image_files import cache, folder, write_image

__all__ = ["cache", "folder", "write_image"]
