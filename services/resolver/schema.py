"""The tables of the resolver's memory."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- contents: what hangs together, and whether its neighbours are known at the present threshold
CREATE TABLE IF NOT EXISTS contents (
    sha TEXT PRIMARY KEY, component INTEGER NOT NULL, searched INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS contents_by_component ON contents (component);
CREATE TABLE IF NOT EXISTS files (file_id TEXT PRIMARY KEY, sha TEXT, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dirty (sha TEXT PRIMARY KEY, cause TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wakes (sha TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;

-- decisions: open ones have members; closed ones stay while commands refer to them
CREATE TABLE IF NOT EXISTS decisions (
    decision_id TEXT PRIMARY KEY, base_id TEXT NOT NULL, is_open INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS decisions_open ON decisions (base_id) WHERE is_open;
CREATE TABLE IF NOT EXISTS members (
    decision_id TEXT NOT NULL, file_id TEXT NOT NULL, sha TEXT NOT NULL,
    PRIMARY KEY (decision_id, file_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_by_sha ON members (sha);
CREATE INDEX IF NOT EXISTS members_by_file ON members (file_id);
CREATE TABLE IF NOT EXISTS generations (base_id TEXT PRIMARY KEY, closed INTEGER NOT NULL) WITHOUT ROWID;

-- commands: what was asked, and the answer; evidence_id is NULL once the same may be asked again
CREATE TABLE IF NOT EXISTS commands (
    command_id TEXT PRIMARY KEY, decision_id TEXT NOT NULL, evidence_id TEXT, body TEXT NOT NULL,
    victim_file TEXT NOT NULL, victim_version INTEGER NOT NULL, victim_sha TEXT NOT NULL,
    keeper_file TEXT NOT NULL, keeper_version INTEGER NOT NULL, keeper_sha TEXT NOT NULL,
    expires_at REAL NOT NULL, batch_id TEXT NOT NULL,
    outcome TEXT, answer TEXT, done_at REAL, again_at REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS commands_by_evidence ON commands (evidence_id);
CREATE INDEX IF NOT EXISTS commands_open ON commands (expires_at) WHERE outcome IS NULL;
CREATE INDEX IF NOT EXISTS commands_again ON commands (again_at) WHERE again_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS commands_by_victim ON commands (victim_file);
CREATE INDEX IF NOT EXISTS commands_by_time ON commands (done_at);
CREATE INDEX IF NOT EXISTS commands_by_batch ON commands (batch_id);
CREATE INDEX IF NOT EXISTS commands_by_decision ON commands (decision_id);
CREATE TABLE IF NOT EXISTS attempts (
    victim_file TEXT, victim_version INTEGER, n INTEGER NOT NULL,
    PRIMARY KEY (victim_file, victim_version)) WITHOUT ROWID;

-- what that teaches
CREATE TABLE IF NOT EXISTS replaced (
    keeper_sha TEXT, victim_sha TEXT, signature BLOB NOT NULL, PRIMARY KEY (keeper_sha, victim_sha)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS restored (
    victim_sha TEXT, keeper_sha TEXT, PRIMARY KEY (victim_sha, keeper_sha)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS allowed (root TEXT, folder BLOB, PRIMARY KEY (root, folder)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (
    request_id TEXT, side TEXT, word TEXT NOT NULL, PRIMARY KEY (request_id, side)) WITHOUT ROWID;

-- what is decided and not yet said
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, body TEXT NOT NULL, cause TEXT);
"""
