-- Large files of Git (LFS): what links them to the content in the blob store, and who has a path for themselves.

-- Since when it is off; null when it is on. At the top level it is off for all projects below.
ALTER TABLE projects ADD COLUMN lfs_off_since BIGINT;
-- When its large files were last compared with what its refs reach.
ALTER TABLE projects ADD COLUMN lfs_swept_at BIGINT;
ALTER TABLE namespaces ADD COLUMN lfs_off_since BIGINT;

CREATE TABLE lfs_objects (
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  blob_id BIGINT NOT NULL REFERENCES blobs (id),
  -- When somebody last relied on it: stored it, was told that it is there, or pushed what names it.
  touched_at BIGINT NOT NULL,
  -- Since when no ref is known to reach what names it.
  unreached_at BIGINT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (project_id, blob_id)
);
CREATE INDEX lfs_objects_blob ON lfs_objects (blob_id);

CREATE TABLE lfs_locks (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  path {BYTE_ORDERED} NOT NULL,
  owner_id BIGINT NOT NULL REFERENCES users (id),
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX lfs_locks_path ON lfs_locks (project_id, path);
CREATE INDEX lfs_locks_owner ON lfs_locks (owner_id);
