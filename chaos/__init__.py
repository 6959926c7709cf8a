"""What is too long for every test run: a soak, and the whole fault matrix."""
