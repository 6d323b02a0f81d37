"""The rules by which identifiers become one person, and their names in refused links."""

UNIQUE_NAMESPACE = "user_id"
"""At most one value of this namespace a person (the default merge protection)."""

ONE_USER_ID = "one_user_id"
MOST_IDENTIFIERS = "most_identifiers"
SOFT_IDENTIFIER = "soft_identifier"
"""What may be shared does not make one person of two who both have something that is not."""
OTHER_PERSON = {"name": "other_name", "birthday": "other_birthday"}
"""What people share who are called otherwise, or born on another day, does not make them one (`unless`)."""
NEVER_LINK = "never_link"
"""Somebody has said so."""
EXPLICIT = "explicit"
"""Somebody has said so."""
NEWEST_LINK = "newest_link"
"""An identifier follows the newest link, where both people cannot be one."""
LOGIN = "login"
"""An identifier follows whoever logs in with it, or is found by it without a login."""
