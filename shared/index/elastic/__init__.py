"""The adapter for Elasticsearch: the one place that speaks to it."""

from shared.index.elastic.access import Access
from shared.index.elastic.ancestor import Ancestor
from shared.index.elastic.index import ElasticIndex
from shared.index.elastic.migration import migrate

__all__ = ["Access", "Ancestor", "ElasticIndex", "migrate"]
