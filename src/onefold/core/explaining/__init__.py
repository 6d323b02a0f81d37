"""Why a value is what it is: a person's events folded alone, and what decided."""
