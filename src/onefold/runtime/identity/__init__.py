"""Rules of identity in the files; people taken apart, brought under other rules, and matched, over history."""
