"""The words in other languages than English: one file for each, named by its code."""
