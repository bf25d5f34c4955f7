-- Conversations: comments that answer each other, reactions, time, subscriptions, to-dos and links between issues.

-- A comment that nobody answered, and that was not meant to begin anything, is in no discussion.
CREATE TABLE discussions (
  -- The id of the comment that began it; it stays when that comment goes.
  id BIGINT PRIMARY KEY,
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  issue_id BIGINT REFERENCES issues (id) ON DELETE CASCADE,
  merge_request_id BIGINT REFERENCES merge_requests (id) ON DELETE CASCADE,
  -- The place in a difference that it is about (JSON).
  position TEXT,
  resolved_by BIGINT REFERENCES users (id),
  resolved_at BIGINT
);
CREATE INDEX discussions_project ON discussions (project_id);
CREATE INDEX discussions_issue ON discussions (issue_id);
CREATE INDEX discussions_merge_request ON discussions (merge_request_id);
CREATE INDEX discussions_resolved_by ON discussions (resolved_by);

ALTER TABLE notes ADD COLUMN discussion_id BIGINT REFERENCES discussions (id) ON DELETE CASCADE;
CREATE INDEX notes_discussion ON notes (discussion_id, id);

-- Reactions to an issue, a merge request or a comment: exactly one of the three columns says to which. Somebody reacts
-- once with each emoji; of deleted users, several may be the Ghost User's.
CREATE TABLE award_emoji (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  issue_id BIGINT REFERENCES issues (id) ON DELETE CASCADE,
  merge_request_id BIGINT REFERENCES merge_requests (id) ON DELETE CASCADE,
  note_id BIGINT REFERENCES notes (id) ON DELETE CASCADE,
  user_id BIGINT NOT NULL REFERENCES users (id),
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX award_emoji_project ON award_emoji (project_id);
CREATE INDEX award_emoji_issue ON award_emoji (issue_id, id);
CREATE INDEX award_emoji_merge_request ON award_emoji (merge_request_id, id);
CREATE INDEX award_emoji_note ON award_emoji (note_id, id);
CREATE INDEX award_emoji_user ON award_emoji (user_id);

-- How long something is thought to take, in seconds.
ALTER TABLE issues ADD COLUMN time_estimate BIGINT NOT NULL DEFAULT 0;
ALTER TABLE merge_requests ADD COLUMN time_estimate BIGINT NOT NULL DEFAULT 0;

-- How long somebody worked on it, in seconds; less than nothing takes back what was recorded before.
CREATE TABLE timelogs (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  issue_id BIGINT REFERENCES issues (id) ON DELETE CASCADE,
  merge_request_id BIGINT REFERENCES merge_requests (id) ON DELETE CASCADE,
  user_id BIGINT NOT NULL REFERENCES users (id),
  seconds BIGINT NOT NULL,
  summary TEXT,
  spent_at BIGINT NOT NULL
);
CREATE INDEX timelogs_project ON timelogs (project_id);
CREATE INDEX timelogs_issue ON timelogs (issue_id);
CREATE INDEX timelogs_merge_request ON timelogs (merge_request_id);
CREATE INDEX timelogs_user ON timelogs (user_id);

-- Who said that they want to be told of something, or that they do not.
CREATE TABLE subscriptions (
  id {PK},
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  issue_id BIGINT REFERENCES issues (id) ON DELETE CASCADE,
  merge_request_id BIGINT REFERENCES merge_requests (id) ON DELETE CASCADE,
  label_id BIGINT REFERENCES labels (id) ON DELETE CASCADE,
  -- Since when they do not; null says that they do.
  ended_at BIGINT,
  created_at BIGINT NOT NULL
);
CREATE INDEX subscriptions_user ON subscriptions (user_id);
CREATE UNIQUE INDEX subscriptions_issue ON subscriptions (issue_id, user_id);
CREATE UNIQUE INDEX subscriptions_merge_request ON subscriptions (merge_request_id, user_id);
CREATE UNIQUE INDEX subscriptions_label ON subscriptions (label_id, user_id);

-- What somebody keeps for later.
CREATE TABLE todos (
  id {PK},
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  author_id BIGINT NOT NULL REFERENCES users (id),
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  issue_id BIGINT REFERENCES issues (id) ON DELETE CASCADE,
  merge_request_id BIGINT REFERENCES merge_requests (id) ON DELETE CASCADE,
  done_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX todos_user ON todos (user_id, id);
CREATE INDEX todos_author ON todos (author_id);
CREATE INDEX todos_project ON todos (project_id);
CREATE INDEX todos_issue ON todos (issue_id);
CREATE INDEX todos_merge_request ON todos (merge_request_id);

-- Issues that belong together; it means the same in both directions.
CREATE TABLE issue_links (
  id {PK},
  source_id BIGINT NOT NULL REFERENCES issues (id) ON DELETE CASCADE,
  target_id BIGINT NOT NULL REFERENCES issues (id) ON DELETE CASCADE,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX issue_links_pair ON issue_links (source_id, target_id);
CREATE INDEX issue_links_target ON issue_links (target_id);
