"""Settings of the role, the database or the server never change what is carried."""
import pytest

SETTINGS = ("datestyle = 'German, DMY'", "intervalstyle = 'sql_standard'", "timezone = 'Pacific/Chatham'",
            "bytea_output = 'escape'", "extra_float_digits = -15", "lc_monetary = 'C'", "xmlbinary = 'hex'",
            "standard_conforming_strings = off", "client_encoding = 'LATIN1'", "statement_timeout = '50ms'",
            "idle_in_transaction_session_timeout = '100ms'", "lock_timeout = '10ms'", "search_path = 'elsewhere'",
            "default_transaction_isolation = 'serializable'", "default_transaction_read_only = off",
            "row_security = off", "quote_all_identifiers = on")


@pytest.mark.versions(10, 18)
@pytest.mark.parametrize("mode", ("binary", "text"))
def test_role_and_database_settings(pipeline, db, mode):
    """EDGE 32: pinned at connect."""
    role = f"odd_{db.name}"
    db.sql(f"create role {role} login superuser replication")
    try:
        for s in SETTINGS:
            db.sql(f"alter role {role} set {s}")
        db.sql(f"alter database {db.name} set datestyle = 'SQL, DMY'")
        if mode == "text":
            db.script("create type pair as (d date, i interval); create table zz (id int primary key, v pair)")
        p = pipeline("create table t (id int primary key, d date, ts timestamp, tsz timestamptz, iv interval,"
                     " by bytea, f4 real, f8 double precision, m money, a date[], b bytea[], i interval[], s text)",
                     source={"url": db.url(user=role)})
        p.carry("insert into t values (1, '2026-12-31', '2026-12-31 01:02:03', '2026-12-31 01:02:03+00',"
                " 'P1Y2M3DT4H5M6S', '\\x00ff41', 0.1, 0.1, '1.5', '{2026-12-31}', '{\"\\\\x00ff\"}', '{P1Y2M3DT4H}', '\u20ac')")
        p.same("t")
        after = p.records("public.t")[0]["after"]
        assert after["iv"] == "P1Y2M3DT4H5M6S" and after["i"] == ["P1Y2M3DT4H"] and after["f8"] == 0.1
        assert after["by"] == b"\x00\xffA" and str(after["a"][0]) == "2026-12-31"
    finally:
        db.sql(f"alter database {db.name} reset all")
        db.sql(f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'")
        db.sql(f"drop owned by {role}")
        db.sql(f"drop role {role}")
