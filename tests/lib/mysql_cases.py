"""The recorded cases of MySQL and MariaDB binlogs (EDGE 59 to 120), each version as far as it goes.

A case is a function that works in one database, made for it inside the recorded binlog.  CASES has each
with the settings it needs; tests/data/binlog/record.py records them, integration tests run them live.
"""
import contextlib
import json

import pymysql

from . import mysql_charsets, mysql_values
from .mysql_values import has


class Case:
    """
    mariadb    the first version that can do it, None: none; mysql the same
    until      the first MySQL that cannot any more
    settings   global variables for the time of the case; those of the name flavor.variable only there
    gtid       whether MySQL's gtid_mode is on
    then       what runs in the next binlog file
    crash      the server is killed at the end, its last file is left as it is
    unlogged   tables whose rows do not follow from the row events of the binlog alone
    """

    def __init__(self, run, name=None, mariadb=(0,), mysql=(0,), gtid=True, settings=None, then=None, crash=False,
                 unlogged=(), until=(99,)):
        self.run, self.name = run, name or run.__name__
        self.mariadb, self.mysql, self.until = mariadb, mysql, until
        self.gtid, self.settings, self.then, self.crash = gtid, settings or {}, then, crash
        self.unlogged = unlogged

    def fits(self, flavor, number):
        least = self.mariadb if flavor == "mariadb" else self.mysql
        return least is not None and number >= least and (flavor == "mariadb" or number < self.until)

    def settings_on(self, flavor):
        split = {k: k.rpartition(".") for k in self.settings}
        return {name: self.settings[k] for k, (only, _, name) in split.items() if only in ("", flavor)}

    def __repr__(self):
        return self.name


@contextlib.contextmanager
def session(db, **settings):
    """A connection of its own, with session variables."""
    with contextlib.closing(db.connect()) as c, c.cursor() as cur:
        for name, value in settings.items():
            cur.execute(f"set session {name} = {value}")
        yield cur


def run_all(cur, *statements):
    for s in statements:
        cur.execute(s)


def expect_error(cur, statement):
    try:
        cur.execute(statement)
    except pymysql.err.MySQLError:
        return
    raise AssertionError(f"should have failed: {statement}")


# --- JSON (EDGE 71, 72)

def json_values(db):
    """Every scalar, opaque values, small and large format, key order, what is stored in place."""
    numbers = [0, 1, -1, 127, 128, 255, 256, 32767, 32768, -32768, -32769, 65535, 65536, 2147483647, 2147483648, -2147483648,
               -2147483649, 4294967295, 4294967296, 9223372036854775807, -9223372036854775808, 9223372036854775808,
               18446744073709551615]
    texts = ["", "a", "it's", 'quo"te', "back\\slash", "tab\tnewline\n\u0000\u0001\u001f", "Grüße", "日本語😀", "/slash/", "x" * 127,
             "y" * 128, "z" * 16384]
    docs = ["null", "true", "false", *(str(n) for n in numbers), "1.5", "-0.0", "0.1", "1e300", "1.0", "123456789.123456789", "1e-7",
            "1e15", "1e16", "1e17", *(json.dumps(t, ensure_ascii=False) for t in texts), "[]", "{}", '[[], {}, [[]], {"a": {}}]',
            '{"b": 1, "a": 2, "aa": 3, "B": 4, "": 5, "ab": 6}', '{"a": 1, "a": 2}', '{"ü": "ö", "日": [1]}', '[1, -1, 70000, 5000000000, 1.5, "s", null, true, false]',
            json.dumps({f"key{i}": [i, i * 100000, None, f"v{i}"] for i in range(100)}), "[" * 90 + "1" + "]" * 90,
            json.dumps(["%016x" % (i % 50) for i in range(4000)]),       # more than 64 KB: the large format
            json.dumps({f"k{i:06}": i % 10 for i in range(5000)})]
    db.sql("create table docs (id int primary key auto_increment, j json)")
    db.sql("insert into docs (j) values (null)")
    for d in docs:
        db.sql("insert into docs (j) values (%s)", (d,))
    for expression in ("cast(cast('1.230' as decimal(10,3)) as json)", "cast(cast('-99999999999999999999.5' as decimal(30,1)) as json)",
                       "cast(cast('2024-02-29' as date) as json)", "cast(cast('-12:34:56.789' as time(3)) as json)",
                       "cast(cast('838:59:59' as time) as json)", "cast(timestamp('2024-02-29 01:02:03.000004') as json)",
                       "cast(timestamp('0001-01-01 00:00:00') as json)", "json_array(b'101', x'00ff', _binary 'abc')",
                       "json_array(cast('a' as binary), cast(1 as unsigned), cast(-1 as signed), 1e0, 2.50)",
                       "cast(st_geomfromtext('POINT(1 2)') as json)", "json_object('d', cast('1.10' as decimal(5,2)), 't', cast('00:00:01' as time))",
                       "json_array(cast('0.000000000000000000000000000001' as decimal(60,30)))", "json_array(year(now()) > 0, cast(2024 as year))"
                       if has(db, mysql=(8, 0, 22)) else "json_array(true)"):
        db.sql(f"insert into docs (j) values ({expression})")
    db.sql("update docs set j = json_object('was', j) where id % 7 = 0")
    db.sql("delete from docs where id % 11 = 0")


def partial_json(db):
    """PARTIAL_UPDATE_ROWS: replaced, inserted, removed; several columns; large documents; row images."""
    large = json.dumps({"list": [i % 7 for i in range(25000)], "text": "t" * 5000, "n": 1})
    db.sql("create table partial (id int primary key, a json, n int, b json, t varchar(20))")
    with session(db, binlog_row_value_options="'PARTIAL_JSON'") as cur:
        for image in ("FULL", "MINIMAL", "NOBLOB"):
            cur.execute(f"set session binlog_row_image = {image}")
            base = {"FULL": 0, "MINIMAL": 10, "NOBLOB": 20}[image]
            cur.execute("insert into partial values (%s, %s, 1, %s, 'x'), (%s, %s, 2, null, 'y')", (
                base + 1, '{"a": "a long enough text", "b": [1, 2, 3], "c": {"d": null}}', '[1, "two", {"three": 3}]',
                base + 2, large if image == "FULL" else '{"list": [], "text": "tttttttttttttttttttt", "n": 1}'))
            for change in (
                    f"a = json_set(a, '$.a', 'short') where id = {base + 1}",
                    f"a = json_replace(a, '$.b[1]', 'x'), n = n + 1 where id = {base + 1}",
                    f"a = json_remove(a, '$.c') where id = {base + 1}",
                    f"a = json_set(a, '$.new', 'v', '$.b[3]', 4), b = json_replace(b, '$[2].three', json_array(1, 2)) where id = {base + 1}",
                    f"a = json_set(a, '$.n', 2), t = 'z' where id = {base + 2}",
                    f"a = json_remove(json_set(a, '$.n', cast('1.5' as decimal(5,2))), '$.text') where id = {base + 2}",
                    f"a = json_set(a, '$.\"odd key\"', 1, '$.n', null) where id = {base + 2}",
                    f"b = json_set(b, '$[0]', 'k'), n = null where id = {base + 1}",
                    f"a = '{{\"whole\": \"other\"}}' where id = {base + 1}",
                    f"a = null where id = {base + 2}",
                    f"n = 5 where id = {base + 2}",
                    f"a = json_set(a, '$.whole', 'o') where id = {base + 1}"):
                cur.execute("update partial set " + change)


# --- row images (EDGE 77, 78)

def images(db):
    for name in ("FULL", "MINIMAL", "NOBLOB", "FULL_NODUP"):
        if name == "FULL_NODUP" and not has(db, mariadb=(11, 4)):
            continue
        with session(db, binlog_row_image=name) as cur:
            n = name.lower()
            run_all(
                cur,
                f"create table i_{n} (id int primary key, a int default 7, b varchar(20) default 'dflt', big text, blo blob,"
                " n int not null default 5, ts timestamp(6) null default current_timestamp(6))",
                f"insert into i_{n} (id) values (1), (2)",
                f"insert into i_{n} values (3, 3, 'three', 'text', x'ff', 3, null), (4, null, null, null, null, 4, '2024-01-01 00:00:00')",
                f"update i_{n} set a = a + 1 where id = 1",
                f"update i_{n} set big = 'changed', b = null where id = 3",
                f"update i_{n} set blo = x'00', n = 6",
                f"update i_{n} set id = id + 10 where id = 2",
                f"update i_{n} set ts = '2024-06-01 12:00:00.5' where id = 12",
                f"delete from i_{n} where id = 4",
                f"replace into i_{n} (id, a) values (1, 100)",
                f"insert into i_{n} (id, a) values (1, 1) on duplicate key update b = 'dup'",
                f"create table k_{n} (a int, b text, c varchar(5))",
                f"insert into k_{n} values (1, 'x', 'y'), (2, null, 'z'), (2, null, 'z')",
                f"insert into k_{n} (a) values (3)",
                f"update k_{n} set c = 'w' where a = 2 limit 1",
                f"delete from k_{n} where a = 1",
                f"create table u_{n} (a int not null, b text, c varchar(5) not null, unique (c))",
                f"insert into u_{n} values (1, 'x', 'y'), (2, null, 'z')",
                f"update u_{n} set b = 'new' where c = 'z'",
                f"update u_{n} set c = 'q' where c = 'y'")


# --- DDL (EDGE 92 to 103)

def ddl(db):
    d, other = db.name, f"{db.name}_other"
    db.script(
        "create table t1 (id int primary key, a int, e enum('x','y'), s varchar(10) character set latin1)",
        "insert into t1 values (1, 1, 'x', 'ä'), (2, 2, 'y', 'ö')",
        "alter table t1 add column b varchar(10) default 'b' first",                               # 97
        "insert into t1 values ('new', 3, 3, 'y', 'ü')",
        "alter table t1 add column c int after a, drop column b, change e f enum('y','x','z')",     # 98
        "update t1 set c = id, f = 'z' where id = 3",
        "alter table t1 modify a bigint unsigned, add index (a), comment 'it''s; a /* comment */'",
        "insert into t1 values (4, 18446744073709551615, 4, 'y', 'ß')",
        "alter table t1 convert to character set utf8mb4",
        "insert into t1 values (5, 5, 5, 'x', '日本')",
        "alter table t1 rename to t1r",                                                            # 96
        "insert into t1r values (6, 6, 6, 'x', 'after')",
        "create table t2 like t1r",                                                                # 94
        "insert into t2 select * from t1r where id < 4",
        "create table if not exists t2 (wrong int)",
        "update t2 set a = 0",
        "drop table if exists nothing_here, t2",
        "create table t2 (id int primary key, only_col varchar(20))",
        "insert into t2 values (1, 'second life')",
        "truncate table t2",                                                                       # 92
        "insert into t2 values (2, 'after truncate')",
        "truncate t2 /* and nothing after */",
        "create table a (id int primary key, v varchar(10))",
        "insert into a values (1, 'old'), (2, 'old')",
        "create table _a_gho (id int primary key, v varchar(10), extra int default 9)",            # gh-ost
        "insert into _a_gho (id, v) select id, v from a",
        "rename table a to _a_old, _a_gho to a",
        "insert into a values (3, 'new', 10)",
        "insert into _a_old values (99, 'stale')",
        "rename table a to tmp, _a_old to a, tmp to _a_old",
        "insert into a values (4, 'swap')",
        "insert into _a_old values (5, 'swap', 1)",
        f"create database {other} character set latin1",
        f"rename table t1r to {other}.moved",
        f"insert into {other}.moved values (7, 7, 7, 'x', 'moved')",
        f"alter database {other} character set utf8mb4",
        f"create table {other}.`odd ``name` (`id` int primary key, `a.b` int, `wéird \"col\"` varchar(5), `日本` int)",
        f"insert into {other}.`odd ``name` values (1, 2, 'x', 3)",
        f"create table `Mixed_Case` (Id int primary key, VaLue int)",
        "insert into `Mixed_Case` values (1, 1)",
        "create/* c1 */table -- c2\n/*! t3 */(id int primary key /* c3 */, `b` int) # the end",      # 100
        "insert into t3 values (1, 1)",
        "/* first */ alter /*!50000 table */ t3 /*! add column (c int, d int) */",
        "insert into t3 values (2, 2, 2, 2)",
        "create table parted (id int primary key, v int) partition by range (id) (partition p0 values less than (10),"
        " partition p1 values less than (20), partition p2 values less than maxvalue)",
        "insert into parted values (1, 1), (11, 2), (21, 3)",
        "create table exchanged (id int primary key, v int)",
        "insert into exchanged values (12, 12)",
        "alter table parted exchange partition p1 with table exchanged",
        "alter table parted truncate partition p0",
        "insert into parted values (2, 2)",
        "alter table parted drop partition p2",
        "update parted set v = v + 1",
        "drop table exchanged",
        # 102: nothing of this concerns a table's rows
        "create view v1 as select * from a", "create procedure p() insert into a values (50, 'proc')",
        "create trigger tr before insert on a for each row set new.v = coalesce(new.v, 'trig')",
        "call p()", "insert into a (id) values (51)", "analyze table a", "optimize table t2", "flush tables",
        "create user if_u@localhost identified by 'Secret-word'" if not has(db, mariadb=(10, 1, 3), mysql=(5, 7)) else
        "create user if not exists if_u@localhost identified by 'Secret-word'",
        f"grant select on {d}.* to if_u@localhost", "drop user if_u@localhost",
        "create event ev on schedule every 1 day disable do insert into a values (60, 'event')", "drop event ev",
        "create index ix on a (v)", "drop index ix on a", "drop view v1")
    ddl_modes(db)
    ddl_temporary(db)
    ddl_families(db)
    db.script("drop table t3, t2", f"drop table {other}.`odd ``name`",
              "create table t2 (id int primary key)", "insert into t2 values (3)")


def ddl_modes(db):
    """EDGE 100: sql_mode and character set change what a text means."""
    with session(db, sql_mode="'ANSI_QUOTES'") as cur:
        run_all(cur, 'create table "ansi" ("id" int primary key, "a""b" varchar(20) default \'d\')', "insert into ansi (id) values (1)")
    with session(db, sql_mode="'NO_BACKSLASH_ESCAPES'") as cur:
        run_all(cur, "create table nbe (id int primary key, e enum('a\\','b') comment 'x\\')", "insert into nbe values (1, 'a\\'), (2, 'b')")
    with contextlib.closing(db.connect(charset="latin1")) as c, c.cursor() as cur:
        run_all(cur, "create table `größe` (id int primary key, `straße` enum('ä','ö') character set latin1)",
                "insert into `größe` values (1, 'ä'), (2, 'ö')")
    with contextlib.closing(db.server.connect()) as c, c.cursor() as cur:      # without a default database
        run_all(cur, f"create table {db.name}.qualified (id int primary key)", f"insert into {db.name}.qualified values (1)",
                f"alter table {db.name}.qualified add v int", f"insert into {db.name}.qualified values (2, 2)")
    with session(db) as cur:
        expect_error(cur, "drop table ansi, not_there")     # EDGE 94: ansi is gone all the same, but in 8.0
        expect_error(cur, "create table nbe (id int)")
        if has(db, mariadb=(10, 1), mysql=None):
            run_all(cur, "create or replace table nbe (id int primary key, other text)", "insert into nbe values (1, 'replaced')")


def ddl_temporary(db):
    """EDGE 95: temporary tables under the name of a real one."""
    with session(db) as cur:
        run_all(cur, "create temporary table a (other int, cols int)", "insert into a values (1, 1)",
                "alter table a add more int", "drop temporary table a", "insert into a values (70, 'real')",
                "create temporary table _a_old (z int)")    # dropped by the disconnect
    db.sql("insert into _a_old values (71, 'real', 1)")


def ddl_families(db):
    """EDGE 93, 97, 103"""
    gtid_off = db.server.is_mariadb or has(db, mysql=(8, 0, 21)) or db.server.settings.get("gtid_mode") != "ON"
    if gtid_off:
        db.script("create table as_select (id int primary key) select id, v from a", "insert into as_select values (80, 'later')")
    if has(db, mysql=(8, 0, 12), mariadb=(10, 3)):
        db.script("create table inst (id int primary key, a int)", "insert into inst values (1, 1)",
                  "alter table inst add column b int default 5, algorithm=instant", "insert into inst values (2, 2, 2)",
                  "update inst set a = 10")
    if has(db, mysql=(8, 0, 29), mariadb=(10, 4)):
        db.script("alter table inst add column c int first, algorithm=instant", "insert into inst values (3, 3, 3, 3)",
                  "alter table inst drop column a, algorithm=instant", "insert into inst values (4, 4, 4)", "update inst set b = 0")
    if has(db, mariadb=(10, 3)):
        db.script("create sequence seq start with 100", "select nextval(seq)", "select nextval(seq)",
                  "create table versioned (id int primary key, v int) with system versioning", "insert into versioned values (1, 1), (2, 2)",
                  "update versioned set v = 10 where id = 1", "delete from versioned where id = 2",
                  "alter table a add column if not exists v varchar(10)", "alter table a add column if not exists w int",
                  "insert into a values (81, 'x', 1)", "alter table a drop column if exists w")
    if has(db, mariadb=(10, 8)):
        with session(db, binlog_alter_two_phase=1) as cur:
            run_all(cur, "alter table as_select add column two_phase int", "insert into as_select values (82, 'two', 2)",
                    "alter table as_select drop column two_phase, algorithm=copy")
            expect_error(cur, "alter table as_select add unique nope (v), add column v int")
            expect_error(cur, "alter table parted add unique nope (v)")
    if has(db, mysql=(8, 0)):
        db.script("drop trigger tr", "alter table a rename column v to vv", "insert into a values (83, 'renamed')",
                  "alter table a alter column vv set default 'd'", "insert into a (id) values (84)",
                  "create table checked (id int primary key, n int check (n > 0))", "insert into checked values (1, 1)",
                  "create role r1", "drop role r1")


# --- transactions (EDGE 82 to 90, 104 to 107)

def transactions(db):
    db.script("create table inno (id int primary key, v varchar(20)) engine=innodb",
              "create table myi (id int primary key, v varchar(20)) engine=myisam",
              "create table inno2 (id int primary key, v varchar(20)) engine=innodb",
              "insert into inno2 values (1, 'a'), (2, 'b'), (3, 'c')")
    with session(db) as cur:
        run_all(
            cur,
            "begin", "insert into inno values (1, 'one')", "insert into inno values (2, 'two')", "commit",
            "begin", "insert into inno values (3, 'never')", "rollback",
            "begin", "insert into inno values (4, 'kept')", "savepoint s1", "insert into inno values (5, 'not')",
            "rollback to s1", "insert into inno values (6, 'kept')", "commit",
            # 105: the writing to MyISAM keeps the savepoint in the log
            "begin", "insert into inno values (90, 'kept')", "savepoint s1", "insert into inno values (91, 'phantom')",
            "insert into myi values (1, 'real')", "rollback to s1", "insert into inno values (92, 'kept')", "commit",
            "begin", "insert into inno values (93, 'kept')", "savepoint `a b`", "insert into myi values (2, 'real')",
            "savepoint s2", "insert into inno values (94, 'phantom')", "insert into myi values (3, 'real')", "rollback to s2",
            "insert into inno values (95, 'phantom')", "rollback to `a b`", "release savepoint `a b`", "insert into inno values (96, 'kept')", "commit",
            # 106
            "insert into myi values (10, 'alone'), (11, 'alone')",
            "begin", "insert into inno values (97, 'rolled back')", "insert into myi values (12, 'real')", "rollback",
            "begin", "insert into myi values (13, 'first')", "insert into inno values (98, 'rolled back')", "rollback",
            "begin", "insert into myi values (14, 'first')", "insert into inno values (99, 'committed')", "commit",
            "update myi set v = 'updated' where id = 10", "delete from myi where id = 11",
            # 82, 83, 88
            "update inno, inno2 set inno.v = 'multi', inno2.v = 'multi' where inno.id = inno2.id",
            "delete inno, inno2 from inno join inno2 on inno.id = inno2.id where inno.id = 2",
            "insert into inno select id + 1000, v from inno2",
            "replace into inno values (1, 'replaced'), (2000, 'new')",
            "insert into inno values (1, 'x') on duplicate key update v = 'on dup'",
            "insert ignore into inno values (1, 'ignored'), (2001, 'taken')",
            "create table ai (id int auto_increment primary key, v int, unique (v))",
            "insert into ai (v) values (1), (2)", "replace into ai (v) values (2)", "update ai set v = 20 where v = 2",
            "begin", "commit", "begin", "update inno set v = v where id = 1", "commit")
        # One statement in many row events
        cur.execute("insert into inno values " + ", ".join(f"({i}, '{'many ' + 'x' * 10}')" for i in range(3000, 3900)))
        cur.execute("update inno set v = 'all' where id >= 3000")
        cur.execute("delete from inno where id between 3010 and 3899")
    with session(db, sql_log_bin=0) as cur:     # 91
        run_all(cur, "insert into inno2 values (500, 'unlogged')", "delete from inno2 where id = 500")
    triggers(db)


FOREIGN_KEYS = ("create table parent (id int primary key) engine=innodb",
                "create table child (id int primary key, p int, constraint fk foreign key (p) references parent (id)"
                " on delete cascade on update cascade) engine=innodb",
                "create table child2 (id int primary key, p int, foreign key (p) references parent (id)"
                " on delete set null) engine=innodb",
                "insert into parent values (1), (2), (3)", "insert into child values (1, 1), (2, 2), (3, 3)",
                "insert into child2 values (1, 2)")


def triggers(db):
    """EDGE 86 to 88"""
    db.script("create table log (id int auto_increment primary key, what varchar(50)) engine=innodb",
              "create trigger tr after insert on inno2 for each row insert into log (what) values (concat('in ', new.id))",
              "create trigger td after delete on inno2 for each row insert into log (what) values (concat('out ', old.id))",
              "insert into inno2 values (10, 'x'), (11, 'y')", "delete from inno2 where id = 10",
              "create function f() returns int deterministic modifies sql data begin insert into log (what) values ('f'); return 1; end",
              "insert into inno2 values (12 + f() * 0, 'func')",
              *FOREIGN_KEYS)


def cascades(db):
    """EDGE 87: the children's rows are not in the binlog (but in MySQL 9.6 and later)."""
    db.script(*FOREIGN_KEYS, "delete from parent where id = 2", "update parent set id = 30 where id = 3", "delete from parent where id = 1")


def statements(db):
    """EDGE 89, 90: statements instead of rows, and what goes with them."""
    db.script("create table st (id int auto_increment primary key, v varchar(40), r double)", "create table st2 (id int primary key, v varchar(40))")
    with session(db, binlog_format="'STATEMENT'") as cur:
        run_all(cur, "set @u = 'user var'", "insert into st (v) values ('stmt')", "insert into st (v, r) values (@u, 1)",
                "update st set v = 'changed' where id = 1", "set timestamp = 1700000000", "insert into st (v) values (now())",
                "delete from st where id = 2", "insert into st2 select id, v from st",
                "begin", "insert into st (v) values ('in tx')", "insert into st2 values (100, 'in tx')", "commit",
                "replace into st2 values (100, 'replaced')", "truncate st2", "insert into st (v, r) values ('rand', rand())")
    with session(db, binlog_format="'MIXED'") as cur:
        run_all(cur, "insert into st (v) values ('mixed')", "update st set v = uuid() where id = 1", "insert into st (v) values ('row again')")
    db.sql("insert into st (v) values ('as row')")


def load_data(db):
    """EDGE 88, 90: LOAD DATA as rows and as a statement"""
    path = db.server.folder / "tmp" / "load.csv"
    path.write_text("1,one\n2,two\n3,\\N\n")
    path.chmod(0o644)
    db.sql("create table loaded (id int, v varchar(20))")
    db.sql(f"load data infile '{path}' into table loaded fields terminated by ','")
    with session(db, binlog_format="'STATEMENT'") as cur:
        cur.execute(f"load data infile '{path}' into table loaded fields terminated by ','")


def rows_query(db):
    """Rows query and annotate events: the statement's text beside the rows"""
    with session(db, **({"binlog_annotate_row_events": 1} if db.server.is_mariadb else {"binlog_rows_query_log_events": 1})) as cur:
        run_all(cur, "create table q (id int primary key, v varchar(500))", "insert into q values (1, 'a'), (2, 'b') /* comment */",
                f"update q set v = '{'x' * 300}'", "delete from q where id = 2", "begin", "insert into q values (3, 'c')",
                "update q set v = 'd' where id = 3", "commit")


def xa(db):
    """EDGE 104"""
    db.script("create table x (id int primary key, v varchar(20))", "insert into x values (1, 'before')")
    with session(db) as one, session(db) as two:
        run_all(one, "xa start 'a','b',7", "insert into x values (2, 'committed')", "update x set v = 'xa' where id = 1", "xa end 'a','b',7",
                "xa prepare 'a','b',7")
        run_all(two, "insert into x values (3, 'between')", "begin", "insert into x values (4, 'between')", "commit")
        one.execute("xa commit 'a','b',7")
        run_all(one, "xa start x'00ff27','br''anch'", "insert into x values (5, 'never')", "xa end x'00ff27','br''anch'",
                "xa prepare x'00ff27','br''anch'")
        two.execute("insert into x values (6, 'between')")
        one.execute("xa rollback x'00ff27','br''anch'")
        run_all(one, "xa start 'one'", "insert into x values (7, 'one phase')", "xa end 'one'", "xa commit 'one' one phase")
        run_all(one, "xa start 'empty'", "xa end 'empty'", "xa prepare 'empty'", "xa commit 'empty'")
        run_all(one, "xa start 'gone'", "insert into x values (8, 'never')", "xa end 'gone'", "xa rollback 'gone'")
        two.execute("insert into x values (9, 'last')")
        # Two at once, the later prepared one committed first
        run_all(one, "xa start 'p1'", "insert into x values (10, 'p1')", "xa end 'p1'", "xa prepare 'p1'")
        run_all(two, "xa start 'p2'", "insert into x values (11, 'p2')", "xa end 'p2'", "xa prepare 'p2'", "xa commit 'p2'")
        one.execute("xa commit 'p1'")


def xa_left_open(db):
    """EDGE 104: prepared in this file, so nothing of it may be shown; committed in the next"""
    db.script("create table xo (id int primary key, v varchar(20))", "insert into xo values (1, 'seen')")
    with session(db) as cur:
        run_all(cur, "xa start 'left'", "insert into xo values (2, 'prepared')", "xa end 'left'", "xa prepare 'left'")


def xa_commit_left(db):
    db.script("insert into xo values (3, 'next file')", "xa commit 'left'", "insert into xo values (4, 'last')")


# --- GTIDs (EDGE 107 to 109)

def gtids(db):
    db.script("create table g (id int primary key, v varchar(20))", "insert into g values (1, 'a')")
    if db.server.is_mariadb:
        with session(db, gtid_domain_id=7) as cur:
            run_all(cur, "insert into g values (2, 'domain 7')", "begin", "insert into g values (3, 'x')", "update g set v = 'y' where id = 3", "commit")
            cur.execute("set session gtid_seq_no = 1000")
            cur.execute("insert into g values (4, 'seq 1000')")
            cur.execute("set session server_id = 4294967295")
            cur.execute("insert into g values (5, 'other server')")
        with session(db, gtid_domain_id=4294967295) as cur:
            cur.execute("insert into g values (6, 'last domain')")
        db.script("insert into g values (7, 'domain 0')", "flush tables")
        return
    uuid = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    with session(db) as cur:
        for gtid, work in ((f"{uuid}:5", ["insert into g values (2, 'foreign')"]), (f"{uuid}:6", []), (f"{uuid}:100", []),
                           (f"{uuid}:9223372036854775806", ["insert into g values (3, 'last number')"]), (f"{uuid}:1", ["truncate g"]),
                           (f"{uuid}:2", ["insert into g values (4, 'after')", "insert into g values (5, 'after')"])):
            run_all(cur, f"set gtid_next = '{gtid}'", *([] if work[:1] == ["truncate g"] else ["begin"]), *work,
                    *([] if work[:1] == ["truncate g"] else ["commit"]), "set gtid_next = 'AUTOMATIC'")
        if has(db, mysql=(8, 3)):
            for gtid in (f"{uuid}:tag_1:1", "AUTOMATIC:a", f"{uuid}:{'t' * 32}:77", "AUTOMATIC:a"):
                run_all(cur, f"set gtid_next = '{gtid}'", "begin", f"insert into g select coalesce(max(id), 0) + 1, 'tagged' from g", "commit",
                        "set gtid_next = 'AUTOMATIC'")
    db.sql("insert into g values (100, 'automatic')")


# --- compression and checksums (EDGE 113, 115, 116)

def compressed(db):
    """Small and large transactions, rows and statements of all kinds, several tables"""
    options = {} if db.server.is_mariadb else {"binlog_transaction_compression": 1}
    with session(db, **options) as cur:
        run_all(cur, "create table c1 (id int primary key, v text, b blob)", "create table c2 (id int primary key, v varchar(200))",
                "insert into c1 values (1, repeat('compress me ', 100), repeat(x'00', 1000)), (2, null, null)",
                "begin", "insert into c2 values (1, repeat('y', 150)), (2, repeat('z', 200))", "update c1 set v = concat(v, '!')",
                "delete from c1 where id = 2", "insert into c1 values (3, repeat('日本', 300), null)", "commit",
                "update c2 set v = repeat('long update ', 16)", "delete from c2 where id = 2",
                "alter table c2 add w varchar(400) default 'a long default value, long enough to be compressed, it is hoped, by the server that"
                " has to write this statement into its log'", "insert into c2 values (5, repeat('v', 200), repeat('w', 300))",
                "begin", "insert into c1 values (4, 'rolled back', null)", "rollback")
        cur.execute("insert into c2 (id, v) values " + ", ".join(f"({i}, repeat('{i}', 50))" for i in range(1000, 1400)))
        if not db.server.is_mariadb:
            run_all(cur, "set session binlog_transaction_compression_level_zstd = 19", "update c2 set v = 'all' where id > 1000",
                    "set session binlog_transaction_compression = 0", "insert into c2 (id, v) values (6, 'plain')")
            run_all(cur, "set session binlog_transaction_compression = 1", "create table c3 (id int primary key, j json, n int)",
                    "insert into c3 values (1, '{\"a\": \"a long enough text\", \"b\": [1, 2, 3]}', 1)",
                    "set session binlog_row_value_options = 'PARTIAL_JSON'", "update c3 set j = json_set(j, '$.a', 'short'), n = 2",
                    "set session binlog_rows_query_log_events = 1", "update c3 set j = json_remove(j, '$.b[1]')",
                    "set session binlog_row_image = MINIMAL", "update c3 set n = 3")
            run_all(cur, "xa start 'cx'", "insert into c2 (id, v) values (7, repeat('xa', 50))",
                    "xa end 'cx'", "xa prepare 'cx'", "xa commit 'cx'")


def checksums(db):
    """EDGE 113: a small table; the setting does the rest"""
    db.script("create table ck (id int primary key, v varchar(20))", "insert into ck values (1, 'a'), (2, 'b')",
              "update ck set v = 'c'", "delete from ck where id = 1")


def plain(db):
    """Few rows of a few types: the case to begin with"""
    db.script("create table plain (id int primary key, name varchar(50), n bigint, price decimal(10,2), at datetime(3), note text)",
              "insert into plain values (1, 'one', 1, 1.10, '2024-01-02 03:04:05.678', null), (2, 'zwei', -2, -2.20, null, 'ü')")
    db.tx("update plain set n = n * 10 where id = 1", "insert into plain values (3, null, 9223372036854775807, 0, '1999-12-31 23:59:59', '')",
          "delete from plain where id = 2")


def old_temporals(db):
    mysql_values.temporals(db, digits=(0,))
    mysql_values.zones(db)


def old_fractions(db):
    """EDGE 63: MariaDB's table map says nothing of their precision, so their length cannot be known from
    the event; its own mysqlbinlog crashes."""
    mysql_values.temporals(db, digits=range(1, 7))


def charsets(db):
    mysql_charsets.fill(db, every=97)


def charsets_whole(db):
    mysql_charsets.fill(db)


MINIMAL = {"binlog_row_metadata": "'MINIMAL'"}
OLD_TEMPORALS = {"mysql56_temporal_format": "0"}
NEVER = None

# In the order they are recorded; those with the same gtid setting share a server.
CASES = (
    Case(plain),
    Case(mysql_values.every_type, "types"),
    Case(charsets),
    Case(mysql_charsets.undefined, "invalid_text"),
    Case(json_values, "json", mariadb=NEVER, mysql=(5, 7, 8)),
    Case(partial_json, mariadb=NEVER, mysql=(8, 0, 3)),
    Case(images),
    Case(gtids),
    Case(xa),
    Case(xa_left_open, mariadb=(10, 5), mysql=(5, 7, 7), then=xa_commit_left),
    Case(rows_query),
    Case(cascades, unlogged=("child", "child2")),
    Case(compressed, mariadb=(10, 2, 3), mysql=(8, 0, 20),
         settings={"mariadb.log_bin_compress": "1", "mariadb.log_bin_compress_min_len": "64"}),
    Case(plain, "rows_v1", mariadb=NEVER, mysql=(8, 0, 18), until=(8, 3), settings={"log_bin_use_v1_row_events": "1"}),
    Case(checksums, "checksum_none", settings={"binlog_checksum": "'NONE'"}),
    Case(checksums, "checksum_crc32", settings={"binlog_checksum": "'CRC32'"}),
    Case(mysql_values.every_type, "types_minimal", mariadb=(10, 5), mysql=(8, 0, 1), settings=MINIMAL),
    Case(mysql_values.every_type, "types_no_metadata", mariadb=(10, 5), mysql=NEVER, settings={"binlog_row_metadata": "'NO_LOG'"}),
    Case(charsets, "charsets_minimal", mariadb=(10, 5), mysql=(8, 0, 1), settings=MINIMAL),
    Case(old_temporals, mysql=NEVER, settings=OLD_TEMPORALS),
    Case(old_fractions, mysql=NEVER, settings=OLD_TEMPORALS),
    Case(checksums, "crashed", crash=True),
    Case(ddl, gtid=False, unlogged=("parted",)),
    Case(ddl, "ddl_minimal", mariadb=(10, 5), mysql=(8, 0, 1), gtid=False, settings=MINIMAL, unlogged=("parted",)),
    Case(transactions, gtid=False),
    Case(statements, gtid=False, unlogged=("st", "st2")),
    Case(load_data, gtid=False, unlogged=("loaded",)),
    Case(xa, "xa_anonymous", mariadb=NEVER, gtid=False),
)


def cases(flavor, number):
    return [c for c in CASES if c.fits(flavor, number)]
