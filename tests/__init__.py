"""Tests: `unit` needs nothing, `contract` runs one suite over every implementation of a seam."""
