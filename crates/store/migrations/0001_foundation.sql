-- The palette: ids and times (Unix microseconds, UTC) are BIGINT, words are TEXT, digests are {BYTES}. A nullable time
-- stands where others put a boolean: it says since when. {PK} and {BYTES} are replaced for each engine.
--
-- Every column that references users is listed in src/user_references.rs, with what becomes of it when the user is
-- deleted; a test compares that list with the schema.

CREATE TABLE users (
  id {PK},
  username TEXT NOT NULL,
  name TEXT NOT NULL,
  email TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('person', 'project_bot', 'ghost')),
  password_hash TEXT,
  administrator_since BIGINT,
  external_since BIGINT,
  blocked_at BIGINT,
  deletion_requested_at BIGINT,
  -- The one project a bot belongs to. It has no foreign key: the project may be gone while the bot's records are moved.
  bot_project_id BIGINT,
  created_by BIGINT REFERENCES users (id),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  CHECK ((kind = 'project_bot') = (bot_project_id IS NOT NULL)),
  CHECK (kind = 'person' OR (password_hash IS NULL AND administrator_since IS NULL))
);
CREATE UNIQUE INDEX users_username ON users (lower(username));
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_bot_project ON users (bot_project_id);
CREATE INDEX users_created_by ON users (created_by);

CREATE TABLE namespaces (
  id {PK},
  kind TEXT NOT NULL CHECK (kind IN ('group', 'user')),
  parent_id BIGINT REFERENCES namespaces (id),
  -- The person whose own namespace this is.
  owner_id BIGINT REFERENCES users (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  full_path TEXT NOT NULL,
  description TEXT NOT NULL,
  visibility BIGINT NOT NULL,
  -- Both belong to the top-level namespace and are ignored below it.
  plan TEXT NOT NULL,
  token_creation_forbidden_at BIGINT,
  deletion_requested_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  CHECK ((kind = 'user') = (owner_id IS NOT NULL)),
  CHECK (kind = 'group' OR parent_id IS NULL)
);
CREATE UNIQUE INDEX namespaces_full_path ON namespaces (lower(full_path));
CREATE INDEX namespaces_parent ON namespaces (parent_id);
CREATE UNIQUE INDEX namespaces_owner ON namespaces (owner_id);

-- Every namespace with each of its ancestors and itself (depth 0), so that inheritance is a join.
CREATE TABLE namespace_ancestors (
  descendant_id BIGINT NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
  ancestor_id BIGINT NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
  depth BIGINT NOT NULL,
  PRIMARY KEY (descendant_id, ancestor_id)
);
CREATE INDEX namespace_ancestors_ancestor ON namespace_ancestors (ancestor_id);

CREATE TABLE projects (
  id {PK},
  namespace_id BIGINT NOT NULL REFERENCES namespaces (id),
  creator_id BIGINT NOT NULL REFERENCES users (id),
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  full_path TEXT NOT NULL,
  description TEXT NOT NULL,
  visibility BIGINT NOT NULL,
  default_branch TEXT NOT NULL,
  object_format TEXT NOT NULL CHECK (object_format IN ('sha1', 'sha256')),
  repository_access TEXT NOT NULL CHECK (repository_access IN ('disabled', 'private', 'enabled')),
  issues_access TEXT NOT NULL CHECK (issues_access IN ('disabled', 'private', 'enabled')),
  -- When the first branch arrived; null while the repository is empty.
  first_pushed_at BIGINT,
  last_issue_iid BIGINT NOT NULL,
  archived_at BIGINT,
  deletion_requested_at BIGINT,
  last_activity_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX projects_full_path ON projects (lower(full_path));
CREATE INDEX projects_namespace ON projects (namespace_id);
CREATE INDEX projects_creator ON projects (creator_id);

CREATE TABLE project_topics (
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  position BIGINT NOT NULL,
  topic TEXT NOT NULL,
  PRIMARY KEY (project_id, position)
);

-- A membership is of a project or of a namespace, never both.
CREATE TABLE members (
  id {PK},
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  project_id BIGINT REFERENCES projects (id) ON DELETE CASCADE,
  namespace_id BIGINT REFERENCES namespaces (id) ON DELETE CASCADE,
  access_level BIGINT NOT NULL CHECK (access_level IN (10, 15, 20, 30, 40, 50)),
  -- Midnight UTC that begins the chosen date: from then on it is no membership.
  expires_at BIGINT,
  created_by BIGINT REFERENCES users (id),
  created_at BIGINT NOT NULL,
  CHECK ((project_id IS NULL) <> (namespace_id IS NULL))
);
CREATE UNIQUE INDEX members_project_user ON members (project_id, user_id);
CREATE UNIQUE INDEX members_namespace_user ON members (namespace_id, user_id);
CREATE INDEX members_user ON members (user_id);
CREATE INDEX members_created_by ON members (created_by);

CREATE TABLE access_tokens (
  id {PK},
  user_id BIGINT NOT NULL REFERENCES users (id),
  -- The project of a project access token; null for a personal one. No foreign key: a dead token outlives its project.
  project_id BIGINT,
  digest {BYTES} NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  scopes TEXT NOT NULL,
  -- Midnight UTC that begins the chosen date: from then on it is dead.
  expires_at BIGINT,
  revoked_at BIGINT,
  last_used_at BIGINT,
  -- Set when the user behind it was deleted. The row stays, so that its secret goes on being recognised as revoked or
  -- expired, but nothing lists it any more.
  retired_at BIGINT,
  previous_token_id BIGINT REFERENCES access_tokens (id),
  created_by BIGINT REFERENCES users (id),
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX access_tokens_digest ON access_tokens (digest);
CREATE UNIQUE INDEX access_tokens_previous ON access_tokens (previous_token_id);
CREATE INDEX access_tokens_user ON access_tokens (user_id, id);
CREATE INDEX access_tokens_project ON access_tokens (project_id, id);
CREATE INDEX access_tokens_created_by ON access_tokens (created_by);
CREATE INDEX access_tokens_expiry ON access_tokens (expires_at);

CREATE TABLE protected_branches (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  -- 0 means nobody.
  push_access_level BIGINT NOT NULL,
  merge_access_level BIGINT NOT NULL,
  force_push_allowed_at BIGINT,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX protected_branches_name ON protected_branches (project_id, name);

CREATE TABLE issues (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  iid BIGINT NOT NULL,
  author_id BIGINT NOT NULL REFERENCES users (id),
  last_editor_id BIGINT REFERENCES users (id),
  closed_by BIGINT REFERENCES users (id),
  title TEXT NOT NULL,
  description TEXT,
  confidential_at BIGINT,
  due_date BIGINT,
  discussion_locked_at BIGINT,
  closed_at BIGINT,
  edited_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX issues_iid ON issues (project_id, iid);
CREATE INDEX issues_created ON issues (project_id, created_at, id);
CREATE INDEX issues_author ON issues (author_id);
CREATE INDEX issues_last_editor ON issues (last_editor_id);
CREATE INDEX issues_closed_by ON issues (closed_by);

CREATE TABLE issue_labels (
  issue_id BIGINT NOT NULL REFERENCES issues (id) ON DELETE CASCADE,
  label TEXT NOT NULL,
  PRIMARY KEY (issue_id, label)
);

CREATE TABLE issue_assignees (
  issue_id BIGINT NOT NULL REFERENCES issues (id) ON DELETE CASCADE,
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  PRIMARY KEY (issue_id, user_id)
);
CREATE INDEX issue_assignees_user ON issue_assignees (user_id);

CREATE TABLE notes (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  issue_id BIGINT NOT NULL REFERENCES issues (id) ON DELETE CASCADE,
  author_id BIGINT NOT NULL REFERENCES users (id),
  last_editor_id BIGINT REFERENCES users (id),
  body TEXT NOT NULL,
  -- Written by the forge itself about a change, in its author's name.
  system_at BIGINT,
  internal_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX notes_issue ON notes (issue_id, id);
CREATE INDEX notes_project ON notes (project_id);
CREATE INDEX notes_author ON notes (author_id);
CREATE INDEX notes_last_editor ON notes (last_editor_id);

-- The activity feed.
CREATE TABLE events (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  author_id BIGINT NOT NULL REFERENCES users (id),
  -- The credential that acted; it has no foreign key, so that the id stays readable for ever.
  token_id BIGINT,
  action TEXT NOT NULL,
  target_type TEXT,
  target_id BIGINT,
  target_iid BIGINT,
  target_title TEXT,
  -- JSON: what was pushed, or the comment.
  details TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX events_project ON events (project_id, id);
CREATE INDEX events_author ON events (author_id);
CREATE INDEX events_target ON events (target_type, target_id);

-- Who changed what, with which credential, from where. Entries are added and never changed, but for the author when
-- that user is deleted; author_name keeps what was true then.
CREATE TABLE audit_events (
  id {PK},
  author_id BIGINT REFERENCES users (id),
  author_name TEXT NOT NULL,
  token_id BIGINT,
  address TEXT,
  entity_type TEXT NOT NULL,
  entity_id BIGINT,
  entity_path TEXT,
  event_name TEXT NOT NULL,
  target_type TEXT NOT NULL,
  target_id BIGINT,
  details TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX audit_events_entity ON audit_events (entity_type, entity_id, id);
CREATE INDEX audit_events_author ON audit_events (author_id);

-- A push that was accepted and whose effects are being recorded. A row that stays behind is a push whose server died:
-- it is settled by comparing it with the repository.
CREATE TABLE pushes (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  user_id BIGINT NOT NULL REFERENCES users (id),
  token_id BIGINT,
  address TEXT,
  -- JSON: the proposed updates of refs.
  updates TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX pushes_project ON pushes (project_id);
CREATE INDEX pushes_user ON pushes (user_id);

CREATE TABLE jobs (
  id {PK},
  kind TEXT NOT NULL,
  -- JSON.
  payload TEXT NOT NULL,
  -- Two waiting jobs with the same key are one job.
  unique_key TEXT,
  run_at BIGINT NOT NULL,
  leased_until BIGINT,
  attempts BIGINT NOT NULL,
  last_error TEXT,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_unique_key ON jobs (unique_key);
CREATE INDEX jobs_due ON jobs (run_at);
