"""People without a shared identifier: how alike two records are, what that is worth, and how good the answers were."""
