"""Peers of convergan: other methods, written as a user of the field would write them."""
