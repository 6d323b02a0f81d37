"""The log on the Kafka protocol."""
