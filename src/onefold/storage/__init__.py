"""What must not be lost: the engines behind the log, the state and the catalog."""
