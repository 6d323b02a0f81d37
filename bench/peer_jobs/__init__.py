"""Jobs of `bench.peers`: each a script that counts the events of a file by one stream processor, says so, and waits."""
