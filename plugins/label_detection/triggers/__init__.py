"""The triggers, which wait in the triggerer, without a worker slot."""
