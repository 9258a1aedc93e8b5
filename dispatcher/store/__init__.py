"""The durable queue and ledger: tables, named queries, migrations."""
