"""What is seen from outside: ``logs`` (structlog), ``metrics`` (prometheus-client), ``health`` (/healthz, /readyz)."""
