"""The noise of launches: recorded, modelled, and what comparisons make of it."""
