"""The deliver role: what destinations are owed, who wants it, and how attempts go."""
