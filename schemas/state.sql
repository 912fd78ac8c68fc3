-- state.db: what a pipeline remembers locally.  user_version 2; each statement may run again.
CREATE TABLE IF NOT EXISTS table_version (
	id INTEGER PRIMARY KEY,		-- the spool's `table`
	schema TEXT NOT NULL,
	name TEXT NOT NULL,
	version INTEGER NOT NULL,
	definition TEXT NOT NULL,	-- JSON, as in the spool's schema records
	UNIQUE (schema, name, version)
);
CREATE TABLE IF NOT EXISTS sink (
	name TEXT PRIMARY KEY,
	detached INTEGER NOT NULL DEFAULT 0,	-- 1: given up, needs a new load
	start_position TEXT NOT NULL,	-- where it began, when it was first configured
	start_resume TEXT,		-- JSON
	last_position TEXT,		-- the last checkpoint known here; the target's own decides
	last_resume TEXT,
	last_snapshot TEXT,		-- JSON array of tables being loaded
	last_stopped TEXT		-- JSON object: table -> position
);
CREATE TABLE IF NOT EXISTS value (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL
);
-- Snapshots (agent/ledger.h).
CREATE TABLE IF NOT EXISTS load_table (
	schema TEXT NOT NULL,
	name TEXT NOT NULL,
	sink TEXT,			-- meant for this sink alone
	condition TEXT,			-- SQL: only these rows
	state TEXT NOT NULL,		-- waiting, running, paused, done, failed, cancelled
	reason TEXT,
	by_name INTEGER NOT NULL,	-- 1: asked for by its own name
	rows INTEGER NOT NULL,
	estimate INTEGER NOT NULL,	-- -1: unknown
	asked_us INTEGER NOT NULL,	-- wall clock; 0: not yet
	begun_us INTEGER NOT NULL,
	ended_us INTEGER NOT NULL,
	position TEXT NOT NULL,		-- of the newest note taken up
	version INTEGER NOT NULL DEFAULT 0,	-- table_version.id that the rows so far are of; 0: none yet
	PRIMARY KEY (schema, name)
);
CREATE TABLE IF NOT EXISTS load_range (	-- of a table's keys: after < key <= upto are still to be read
	schema TEXT NOT NULL,
	name TEXT NOT NULL,
	id INTEGER NOT NULL,
	after TEXT,			-- NULL: from the first
	upto TEXT,			-- NULL: to the last
	done INTEGER NOT NULL,
	PRIMARY KEY (schema, name, id)
);
CREATE TABLE IF NOT EXISTS load_reread (	-- keys that must be read once more
	id INTEGER PRIMARY KEY AUTOINCREMENT,	-- the oldest is the lowest
	schema TEXT NOT NULL,
	name TEXT NOT NULL,
	key BLOB NOT NULL,		-- Avro
	tries INTEGER NOT NULL,
	UNIQUE (schema, name, key)
);
CREATE TABLE IF NOT EXISTS load_request (	-- what `tailrace snapshot` asks; the agent removes what it has taken up
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	kind TEXT NOT NULL,		-- start, pause, resume, cancel
	tables TEXT,			-- comma-separated patterns; NULL: all
	condition TEXT,
	sink TEXT
);
PRAGMA user_version = 2;
