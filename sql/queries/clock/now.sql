-- The database's clock, by which sends are marked.
--
-- not null: now
select clock_timestamp() as now;
