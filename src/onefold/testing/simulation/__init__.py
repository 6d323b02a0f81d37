"""A platform of real parts in one thread, under misfortune that a seed decides, and what must hold in the end."""
