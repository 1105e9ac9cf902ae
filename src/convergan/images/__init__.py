"""Image files: finding, opening and decoding them."""
