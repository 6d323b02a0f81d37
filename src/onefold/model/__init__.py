"""The nouns: typed data without behaviour beyond reading and writing themselves."""
