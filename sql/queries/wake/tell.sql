-- Notifies other servers, in a transaction that stores nothing and so waits for no disk.
--
-- $1 channels
-- $2 texts
select pg_notify(told.channel, told.text)
from unnest($1::text[], $2::text[]) as told (channel, text);
