-- Uploaded files and packages: what links them to the content in the blob store, which they share with images.

ALTER TABLE projects ADD COLUMN packages_access TEXT NOT NULL DEFAULT 'enabled'
  CHECK (packages_access IN ('disabled', 'private', 'enabled'));

-- A file that was uploaded to be shown or linked in a project's texts.
CREATE TABLE uploads (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  blob_id BIGINT NOT NULL REFERENCES blobs (id),
  -- 128 random bits, a part of the address that stands in the texts. It opens nothing to who may not read the project.
  secret TEXT NOT NULL,
  file_name TEXT NOT NULL,
  author_id BIGINT NOT NULL REFERENCES users (id),
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX uploads_secret ON uploads (project_id, secret);
CREATE INDEX uploads_blob ON uploads (blob_id);
CREATE INDEX uploads_author ON uploads (author_id);

CREATE TABLE packages (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  package_type TEXT NOT NULL,
  name {BYTE_ORDERED} NOT NULL,
  version {BYTE_ORDERED} NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('default', 'hidden')),
  creator_id BIGINT NOT NULL REFERENCES users (id),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX packages_version ON packages (project_id, package_type, name, version);
CREATE INDEX packages_creator ON packages (creator_id);

-- A file of a package. Several may have one name; the newest is the one that is downloaded by it.
CREATE TABLE package_files (
  id {PK},
  package_id BIGINT NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
  blob_id BIGINT NOT NULL REFERENCES blobs (id),
  file_name {BYTE_ORDERED} NOT NULL,
  creator_id BIGINT NOT NULL REFERENCES users (id),
  created_at BIGINT NOT NULL
);
CREATE INDEX package_files_name ON package_files (package_id, file_name);
CREATE INDEX package_files_blob ON package_files (blob_id);
CREATE INDEX package_files_creator ON package_files (creator_id);
