-- state.db: what a pipeline remembers locally.  user_version 1; each statement may run again.
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
PRAGMA user_version = 1;
