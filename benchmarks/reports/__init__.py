"""Reports of measurements: schema, statistics, rendering."""
