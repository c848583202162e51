-- Changes: the feed of what happened to statuses, which every replica tails for its subscribers.
--
-- `xid` is the writing transaction. Readers take rows below the oldest transaction still running, in order
-- of (xid, id), so a row that is committed late is never skipped. A status is read from its resource;
-- a deletion carries its last state with it, as the resource is gone.
create table changes (
  id bigint generated always as identity,
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  resource_id text not null,
  source text not null,
  consumer_name text not null,
  sequence bigint,
  spec json,
  metadata jsonb,
  status json,
  status_event json,
  created_at timestamptz not null default now(),
  resource_created_at timestamptz not null,
  resource_deleted_at timestamptz,
  primary key (xid, id),
  constraint changes_kind_check check (kind in ('status', 'deleted'))
);

create index changes_created_at_idx on changes (created_at);
