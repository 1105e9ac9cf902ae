"""Peers: other people's ways to do what convergan does, written as a user of the field would write them."""
