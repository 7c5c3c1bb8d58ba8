"""A corpus: every face of very many photos, a row a face in Parquet files that pandas, DuckDB and Spark read."""
