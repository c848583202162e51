-- Events: the outbox, a row for each change that an agent must be told of.
--
-- A row says who must be told, not what: the publisher reads the resource as it is by then. It is
-- deleted by the statement that marks the send, so the table is empty when all is told.
create table events (
  id bigint generated always as identity,
  resource_id text not null,
  consumer_name text not null,
  -- Deletions have a lane of their own, so that a hundred thousand of them delay no create.
  is_deletion boolean not null,
  created_at timestamptz not null default now(),
  primary key (consumer_name, is_deletion, id)
) with (
  -- Rows live for milliseconds. Vacuum by count, as the share of dead rows means nothing here.
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 10000
);
