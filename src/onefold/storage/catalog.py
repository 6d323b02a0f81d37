"""The embedded catalog under the name that its callers know: `Catalog(path, clock)`."""

from onefold.model.catalog import SCOPES, SecretKeyRow, SourceRow, VersionRow, digest
from onefold.storage.catalog_sqlite import SqliteCatalog as Catalog

__all__ = ["SCOPES", "Catalog", "SecretKeyRow", "SourceRow", "VersionRow", "digest"]
