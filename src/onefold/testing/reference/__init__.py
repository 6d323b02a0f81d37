"""The naive reference: what definitions mean, said as simply as it can be."""
