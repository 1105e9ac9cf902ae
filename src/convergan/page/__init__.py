"""What the package's HTML pages share: style, templates, figures, pictures and ways of writing numbers."""
