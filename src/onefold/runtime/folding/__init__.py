"""The fold of the log into the state: from records to batches, and from batches to commits."""
