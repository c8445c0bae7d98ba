"""The adapter for Elasticsearch: the one place that speaks to it."""

from shared.index.elastic.access import Access
from shared.index.elastic.index import ElasticIndex

__all__ = ["Access", "ElasticIndex"]
