-- Requests with an Idempotency-Key: the answer of each, and the changes that it has made, for a day.
create table request_keys (
  caller text not null,
  key text not null,
  -- A new one for each request: receipts begin with it.
  request_id text not null,
  fingerprint text not null,
  created_at timestamptz not null default now(),
  -- When somebody last began to work on it; null when nobody does.
  claimed_at timestamptz default now(),
  status integer,
  headers json,
  body text,
  body_bytes integer not null default 0,
  constraint request_keys_pkey primary key (caller, key)
);

create index request_keys_created_at_idx on request_keys (created_at) include (body_bytes);

-- Written by the statement that makes the change, so that it is never made twice.
create table receipts (
  id text not null,
  resource_id text not null,
  version integer not null,
  created_at timestamptz not null default now(),
  constraint receipts_pkey primary key (id)
);

create index receipts_created_at_idx on receipts (created_at);
