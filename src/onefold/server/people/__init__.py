"""People over HTTP: one person or many, as they are or were, and why; and the accounts that they belong to."""
