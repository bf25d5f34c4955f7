-- Somebody who signed in with a browser. Only a digest of the secret in the cookie is kept; a session that ended has no row.
CREATE TABLE sessions (
  id {PK},
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  digest {BYTES} NOT NULL,
  -- From where it began and what the browser called itself, so that its owner knows it again.
  address TEXT,
  user_agent TEXT NOT NULL,
  -- What the next page is to say, once.
  notice TEXT,
  last_used_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX sessions_digest ON sessions (digest);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_used ON sessions (last_used_at);
CREATE INDEX sessions_created ON sessions (created_at);

-- Forms that must not be acted on twice, by the number each was shown with.
CREATE TABLE submitted_forms (
  id {PK},
  session_id BIGINT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  number TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX submitted_forms_number ON submitted_forms (session_id, number);
CREATE INDEX submitted_forms_created ON submitted_forms (created_at);

-- Links with which somebody chooses a password, each once.
CREATE TABLE password_links (
  id {PK},
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  digest {BYTES} NOT NULL,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX password_links_digest ON password_links (digest);
CREATE INDEX password_links_user ON password_links (user_id);
