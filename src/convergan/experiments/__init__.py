"""The paper's experiments: its tables and figures, cell by cell, on one machine or a cluster."""
