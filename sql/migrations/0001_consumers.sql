-- Consumers: the clusters that may receive resources.
create table consumers (
  id text primary key,
  name text not null,
  labels jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint consumers_name_key unique (name)
);
