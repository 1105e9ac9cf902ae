"""The paper's generators and discriminators."""
