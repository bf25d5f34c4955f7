-- Tag protections, and what lists that are gone through in the order of changes begin at.

CREATE TABLE protected_tags (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  name {BYTE_ORDERED} NOT NULL,
  -- 0 means nobody.
  create_access_level BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX protected_tags_name ON protected_tags (project_id, name);

CREATE INDEX issues_updated ON issues (project_id, updated_at, id);
