"""What the scalar functions compute, by subject. Each is total: of values that it is not for, it gives None or False.

`functions` is the catalogue that says how they are called.
"""
