-- From which address a token was last used, so that somebody can tell whether that was meant.
ALTER TABLE access_tokens ADD COLUMN last_used_address TEXT;

-- The life of one token: what it did, and what was done to it.
CREATE INDEX events_token ON events (token_id, id) WHERE token_id IS NOT NULL;
CREATE INDEX audit_events_token ON audit_events (token_id, id) WHERE token_id IS NOT NULL;
CREATE INDEX audit_events_target ON audit_events (target_type, target_id, id);
