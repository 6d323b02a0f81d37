"""Identity over HTTP: what people say of it, why it is so, its pictures, undo, other rules, and the review queue."""
