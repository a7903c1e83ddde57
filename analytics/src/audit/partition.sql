-- Rows, distinct offsets and dead letters of one partition between two offsets.
WITH
    stored AS (SELECT _offset AS o FROM {table}
        WHERE _topic = {topic:String} AND _partition = {partition:Int32} AND _offset >= {low:Int64} AND _offset < {high:Int64}),
    dead AS (SELECT DISTINCT _offset AS o FROM sink_dead_letters
        WHERE _topic = {topic:String} AND _partition = {partition:Int32} AND _offset >= {low:Int64} AND _offset < {high:Int64})
SELECT
    toUInt16({partition:Int32}) AS partition,
    assumeNotNull((SELECT count() FROM stored)) AS rows,
    assumeNotNull((SELECT uniqExact(o) FROM stored)) AS offsets,
    assumeNotNull((SELECT count() FROM dead)) AS dead,
    assumeNotNull((SELECT count() FROM dead WHERE o IN (SELECT o FROM stored))) AS both
