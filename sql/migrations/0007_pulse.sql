-- The pulse of consumers, and deletions that nobody waits for any more.
--
-- A pulse is written about once a minute: there is room in the page for the next version of its row.
alter table consumers set (fillfactor = 70);
alter table consumers add column last_seen_at timestamptz;
alter table consumers add column agent_version text;

-- An abandoned resource is gone here while its objects may still be on the cluster. `is_confirmed` tells
-- whether the agent has come back and removed them.
alter table tombstones add column abandoned_by text;
alter table tombstones add column abandoned_at timestamptz;
alter table tombstones add column is_confirmed boolean not null default true;
