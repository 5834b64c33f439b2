"""Sides of comparisons as others write them."""
