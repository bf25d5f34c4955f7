-- The container registry: what links repositories, tags, manifests and uploads to the content in the blob store.
--
-- {BYTE_ORDERED} is text that is compared and sorted by its bytes on both engines.

ALTER TABLE projects ADD COLUMN container_registry_access TEXT NOT NULL DEFAULT 'enabled'
  CHECK (container_registry_access IN ('disabled', 'private', 'enabled'));

-- How many bytes the images of a project, or of all projects below a top-level group, may take. Null is no limit.
ALTER TABLE projects ADD COLUMN container_quota_bytes BIGINT;
ALTER TABLE namespaces ADD COLUMN container_quota_bytes BIGINT;

-- Content in the blob store. The row is made before the content is stored and outlives it, so nothing is stored that no
-- row knows of.
CREATE TABLE blobs (
  id {PK},
  digest TEXT NOT NULL,
  size BIGINT NOT NULL,
  -- When an upload or a link last began to rely on it, or the last link was removed: what has no link is deleted when
  -- that is long enough ago.
  touched_at BIGINT NOT NULL,
  -- Since when it is being deleted. Until the row is gone, nobody may begin to rely on it.
  deleting_at BIGINT,
  -- Since when its content is known to be missing or damaged. Until it is pushed again, nobody is told that it is there.
  missing_at BIGINT,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX blobs_digest ON blobs (digest);
CREATE INDEX blobs_touched ON blobs (touched_at);

-- An image repository: a project's root image, whose name is empty, or one of the images below it.
CREATE TABLE container_repositories (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  name {BYTE_ORDERED} NOT NULL,
  -- Since when it is hidden and waits for the job that deletes it.
  deletion_requested_at BIGINT,
  -- When tags were last deleted in bulk by a person, and when the cleanup policy last began to work.
  bulk_deleted_at BIGINT,
  cleanup_started_at BIGINT,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX container_repositories_name ON container_repositories (project_id, name);

-- Which repository has which blob. A blob is served through a link only.
CREATE TABLE container_blob_links (
  repository_id BIGINT NOT NULL REFERENCES container_repositories (id) ON DELETE CASCADE,
  blob_id BIGINT NOT NULL REFERENCES blobs (id),
  created_at BIGINT NOT NULL,
  PRIMARY KEY (repository_id, blob_id)
);
CREATE INDEX container_blob_links_blob ON container_blob_links (blob_id);

CREATE TABLE container_manifests (
  id {PK},
  repository_id BIGINT NOT NULL REFERENCES container_repositories (id) ON DELETE CASCADE,
  digest {BYTE_ORDERED} NOT NULL,
  media_type TEXT NOT NULL,
  size BIGINT NOT NULL,
  -- What it names, all together: the size of the image.
  content_size BIGINT NOT NULL,
  config_digest TEXT,
  -- When the image was built, as its configuration says.
  built_at BIGINT,
  subject TEXT,
  artifact_type TEXT,
  -- JSON: the annotations, as the list of referrers repeats them.
  annotations TEXT,
  author_id BIGINT NOT NULL REFERENCES users (id),
  -- When its last tag went, or it was pushed without one.
  untagged_at BIGINT,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX container_manifests_digest ON container_manifests (repository_id, digest);
CREATE INDEX container_manifests_subject ON container_manifests (repository_id, subject, digest);
CREATE INDEX container_manifests_author ON container_manifests (author_id);

-- The bytes of a manifest, exactly as they were pushed.
CREATE TABLE container_manifest_bodies (
  manifest_id BIGINT PRIMARY KEY REFERENCES container_manifests (id) ON DELETE CASCADE,
  body {BYTES} NOT NULL
);

-- What a manifest names, and must be there as long as it is.
CREATE TABLE container_manifest_references (
  manifest_id BIGINT NOT NULL REFERENCES container_manifests (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('blob', 'manifest')),
  digest TEXT NOT NULL,
  PRIMARY KEY (manifest_id, kind, digest)
);
CREATE INDEX container_manifest_references_digest ON container_manifest_references (digest);

CREATE TABLE container_tags (
  id {PK},
  repository_id BIGINT NOT NULL REFERENCES container_repositories (id) ON DELETE CASCADE,
  name {BYTE_ORDERED} NOT NULL,
  manifest_id BIGINT NOT NULL REFERENCES container_manifests (id) ON DELETE CASCADE,
  author_id BIGINT NOT NULL REFERENCES users (id),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX container_tags_name ON container_tags (repository_id, name);
CREATE INDEX container_tags_manifest ON container_tags (manifest_id);
CREATE INDEX container_tags_author ON container_tags (author_id);

-- An upload session. What it has is in the blob store; size says how much of that is acknowledged.
CREATE TABLE container_uploads (
  id TEXT PRIMARY KEY,
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  -- The image, as in container_repositories: the repository itself is made when something is complete.
  image TEXT NOT NULL,
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  token_id BIGINT NOT NULL,
  algorithm TEXT NOT NULL,
  size BIGINT NOT NULL,
  -- The digest of what there is, if it is known.
  digest TEXT,
  pieces BIGINT NOT NULL,
  -- Until when a request has it for itself.
  claimed_until BIGINT,
  -- When it last changed; long after that it is removed.
  updated_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX container_uploads_project ON container_uploads (project_id);
CREATE INDEX container_uploads_user ON container_uploads (user_id);
CREATE INDEX container_uploads_token ON container_uploads (token_id);
CREATE INDEX container_uploads_updated ON container_uploads (updated_at);

-- Which tags may be changed and deleted by whom. A level of null means nobody: the tag is immutable.
CREATE TABLE container_tag_rules (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  pattern TEXT NOT NULL,
  push_access_level BIGINT,
  delete_access_level BIGINT,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX container_tag_rules_pattern ON container_tag_rules (project_id, pattern);

-- What is deleted from a project's images from time to time.
CREATE TABLE container_cleanup_policies (
  project_id BIGINT PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
  enabled_at BIGINT,
  cadence TEXT NOT NULL,
  keep_n BIGINT,
  older_than TEXT,
  name_regex TEXT,
  name_regex_keep TEXT,
  next_run_at BIGINT NOT NULL
);
CREATE INDEX container_cleanup_policies_next ON container_cleanup_policies (next_run_at);
