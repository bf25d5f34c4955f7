-- Access tokens of groups, and their bots. Neither column has a foreign key: a dead token outlives its group, and so does
-- a bot whose records are being moved.

ALTER TABLE access_tokens ADD COLUMN namespace_id BIGINT;
CREATE INDEX access_tokens_namespace ON access_tokens (namespace_id, id);

-- The group that a bot belongs to. Every bot has a project in `bot_project_id`, because the table was made with that
-- condition, and no engine can take it back without copying every user: for a bot of a group it is 0, which no project is.
ALTER TABLE users ADD COLUMN bot_namespace_id BIGINT;
CREATE INDEX users_bot_namespace ON users (bot_namespace_id);
