"""The actions, one file for each family of nouns: from a Call to the result that the answer shows."""
