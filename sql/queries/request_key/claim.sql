-- Begins the work on a request, if it is new, was given up, or is so old that it does not count any more.
--
-- No row means that somebody else is at it, that it is answered, or that it is another request.
--
-- $1 caller
-- $2 key
-- $3 request_id the one of a new request
-- $4 fingerprint
-- $5 claim_seconds after so long whoever began is taken for dead
-- $6 age_seconds
insert into request_keys as request (caller, key, request_id, fingerprint)
values ($1, $2, $3, $4)
on conflict (caller, key) do update
set claimed_at = now(),
  created_at = case
    when request.created_at < now() - make_interval(secs => $6::int) then now()
    else request.created_at
  end,
  request_id = case
    when request.created_at < now() - make_interval(secs => $6::int) then excluded.request_id
    else request.request_id
  end,
  fingerprint = excluded.fingerprint,
  status = null,
  headers = null,
  body = null,
  body_bytes = 0
where request.created_at < now() - make_interval(secs => $6::int)
  or (
    request.fingerprint = excluded.fingerprint
    and request.status is null
    and coalesce(request.claimed_at < now() - make_interval(secs => $5::int), true)
  )
returning request.request_id;
