"""Every metric, declared once. Names: ``photosift_<service>_<noun>_<unit>``; no label carries a file name (S21)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

FILES = Gauge("photosift_watcher_files", "Files known, by root", ["root"])
FILE_EVENTS = Counter("photosift_watcher_file_events_total", "File events published, by type", ["type"])
QUEUE_DEPTH = Gauge("photosift_bus_queue_depth", "Messages not yet acknowledged, by consumer", ["consumer"])
RETRIES = Counter("photosift_bus_retries_total", "Messages put back for another attempt, by consumer", ["consumer"])
DEAD_LETTERS = Counter(
    "photosift_bus_dead_letters_total", "Messages given up, by consumer and reason", ["consumer", "reason"]
)
ANALYSES = Counter("photosift_analyser_files_total", "Files analysed, by result", ["result"])
ANALYSIS_SECONDS = Histogram(
    "photosift_analyser_file_seconds",
    "Seconds to read, decode and sign one file",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
UNREADABLE = Counter("photosift_analyser_unreadable_total", "Files that give no picture, by reason", ["reason"])
SEARCH_SECONDS = Histogram(
    "photosift_resolver_search_seconds",
    "Seconds of one batch of neighbour searches",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
)
DECISIONS = Counter(
    "photosift_resolver_decisions_total",
    "Duplicates decided about, by class and action",
    ["match_class", "action"],
)
COMMANDS = Counter("photosift_resolver_commands_total", "Commands published, by action", ["action"])
OUTCOMES = Counter("photosift_executor_outcomes_total", "Outcomes, by kind", ["outcome"])
