-- The states of infrastructure that Terraform keeps here.

CREATE TABLE terraform_states (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  name {BYTE_ORDERED} NOT NULL,
  -- Who has it for themselves, the id that they gave the lock, and what they said about it (JSON).
  locked_by BIGINT REFERENCES users (id),
  lock_id TEXT,
  lock_info TEXT,
  locked_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX terraform_states_name ON terraform_states (project_id, name);
CREATE INDEX terraform_states_locked_by ON terraform_states (locked_by);

CREATE TABLE terraform_state_versions (
  id {PK},
  state_id BIGINT NOT NULL REFERENCES terraform_states (id) ON DELETE CASCADE,
  author_id BIGINT NOT NULL REFERENCES users (id),
  -- The number that Terraform counts versions by, as the content says; null when it says none.
  serial BIGINT,
  -- The content, which holds secrets, encrypted with a key that is not in the database.
  sealed {BYTES} NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX terraform_state_versions_state ON terraform_state_versions (state_id, id);
CREATE INDEX terraform_state_versions_author ON terraform_state_versions (author_id);
