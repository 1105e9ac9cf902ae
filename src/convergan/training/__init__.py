"""The objective, one training loop, its health, and the honest verdict."""
