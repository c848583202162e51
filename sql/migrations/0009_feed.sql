-- The change feed tells of specs too, and is partitioned by time, so that what is old is dropped and not deleted.
--
-- Upkeep makes a partition for each hour ahead of time. What finds none lands in `changes_default`, so that no
-- change ever fails for want of one. What the last minutes brought is kept for servers that are running now.
alter table changes rename to changes_old;
alter table changes_old rename constraint changes_pkey to changes_old_pkey;
alter table changes_old rename constraint changes_kind_check to changes_old_kind_check;

create sequence change_ids as bigint;

create table changes (
  id bigint not null default nextval('change_ids'),
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

  -- Of a resource that is gone, what is shown of it besides.
  name text,
  type text,
  data_type text,
  version integer,
  -- The labels before a spec that changed them, so that a watcher is told what passes its search no longer.
  labels_before jsonb,

  primary key (xid, id, created_at),
  constraint changes_kind_check check (kind in ('spec', 'status', 'deleted'))
) partition by range (created_at);

create table changes_default partition of changes default;
create index changes_default_created_at_idx on changes_default (created_at);

insert into changes (
  xid, id, kind, resource_id, source, consumer_name, sequence, spec, metadata, status, status_event,
  created_at, resource_created_at, resource_deleted_at
)
select xid, id, kind, resource_id, source, consumer_name, sequence, spec, metadata, status,
  status_event, created_at, resource_created_at, resource_deleted_at
from changes_old
where created_at > now() - interval '10 min';
drop table changes_old;

-- What belongs to the feed as a whole: who it is, and the last of the entries that were dropped. A cursor before
-- that, or of another feed, has missed something.
create table feed (
  id boolean primary key default true,
  epoch text not null default gen_random_uuid()::text,
  horizon_xid xid8 not null default '0',
  horizon_id bigint not null default 0,
  constraint feed_id_check check (id)
);
insert into feed default values;

-- Set with each change of the labels, to what they were.
alter table resources add column labels_before jsonb;

-- Who the feed is: it changes with a failover, and in a database that was restored or copied, where transactions
-- that a cursor knows may never have been, or be others.
create function feed_epoch() returns text language sql stable as $$
  select left(md5(concat_ws(
    ' ',
    (select epoch from feed),
    'feed'::regclass::oid,
    (select oid from pg_database where datname = current_database()),
    (select system_identifier from pg_control_system()),
    left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
  )), 12)
$$;
