"""Who is one person: identifiers, rules and policies, links, merges, and people folded anew."""
