"""The report of a run: one HTML file to look at, without a network, and the page that compares two runs."""
