"""What is measured: speed against what a user would write otherwise, and the statistics of it."""
