"""Images, time and processes of the comparison in `few_labels`."""
