"""The judges of judge.py for a MySQL or MariaDB source: give them a Source instead of a connection.

judge.judge_sqlite(Source(db), path, tables), judge.judge_files(Source(db), lake, tables): value by value
under INTERFACE.md's mapping.  What a target's type cannot hold (zero and partial dates, TIME outside a day)
is NULL in a copy.
"""
from . import judge, normal_mysql


class Source:
    """One database (lib/mysql.Database) as the judges see it.  Tables are named `table` or `database.table`."""
    norm = normal_mysql
    has_txid = False        # the log does not number transactions; GTIDs are not known before the commit

    def __init__(self, database):
        self.database = database
        self.manifest = f"{database.name}.tx_manifest"

    def split(self, table):
        schema, dot, name = table.partition(".")
        return (schema, name) if dot else (self.database.name, table)

    def columns(self, table):
        return normal_mysql.columns(self.database.conn, *self.split(table))

    def key_names(self, table):
        return normal_mysql.key_names(self.database.conn, *self.split(table))

    def rows_as_text(self, table, where=""):
        return normal_mysql.rows_as_text(self.database.server, *self.split(table), where=where)

    def query(self, text):
        return self.database.sql(text)

    def tables(self):
        """All base tables, as `database.table`."""
        return [f"{self.database.name}.{t}" for t in normal_mysql.tables(self.database.conn, self.database.name)]


def judge_sqlite(database, path, tables=None, where=""):
    """Row by row: tables of the database (all) against the sqlite sink's copy."""
    source = Source(database)
    return judge.judge_sqlite(source, path, source.tables() if tables is None else tables, where)


def judge_files(database, path, tables=None, transactions=True):
    """A files sink's lake against the database, for tables that were empty when the pipeline began."""
    source = Source(database)
    named = source.tables() if tables is None else [".".join(source.split(t)) for t in tables]
    return judge.judge_files(source, path, named, transactions)
