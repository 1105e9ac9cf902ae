"""Common parts of the package's HTML pages: style, templates, figures, pictures, formats of numbers."""
