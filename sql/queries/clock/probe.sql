-- Whether statements are answered, and whether this is a standby or read-only otherwise.
--
-- not null: is_read_only
select current_setting('transaction_read_only')::boolean as is_read_only;
