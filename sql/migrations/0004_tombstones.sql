-- Tombstones: resources whose deletion the agent has confirmed.
--
-- They fence late messages, and tell a source or an agent that returns what has become of an id.
create table tombstones (
  id text primary key,
  source text not null,
  consumer_name text not null,
  version integer not null,
  last_sequence bigint,
  deleted_at timestamptz not null,
  confirmed_at timestamptz not null default now()
);

create index tombstones_confirmed_at_idx on tombstones (confirmed_at);
