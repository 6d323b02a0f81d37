"""The rules by which identifiers become one person, and their names in refused links."""

UNIQUE_NAMESPACE = "user_id"
"""At most one value of this namespace a person (the default merge protection)."""

ONE_USER_ID = "one_user_id"
MOST_IDENTIFIERS = "most_identifiers"
