"""Token shards: data sets as Parquet files of ids."""
