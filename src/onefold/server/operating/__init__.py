"""What operates a workspace over HTTP: sources and keys, what waits or was refused, and how well it all is."""
