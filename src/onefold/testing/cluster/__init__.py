"""Kafka, PostgreSQL and all roles on this machine: started, hit by misfortune, brought to rest, accounted for."""
