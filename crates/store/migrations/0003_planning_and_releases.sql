-- Labels, milestones, the statuses of commits, and releases.

CREATE TABLE labels (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  title {BYTE_ORDERED} NOT NULL,
  -- `#` and three or six hexadecimal digits.
  color TEXT NOT NULL,
  description TEXT,
  priority BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX labels_title ON labels (project_id, title);

-- Until now an issue's labels were texts. Each text becomes a label of its project.
INSERT INTO labels (project_id, title, color, created_at, updated_at)
  SELECT i.project_id, l.label, '#6699cc', MIN(i.created_at), MIN(i.created_at)
  FROM issue_labels l JOIN issues i ON i.id = l.issue_id GROUP BY i.project_id, l.label;
ALTER TABLE issue_labels RENAME TO issue_label_texts;
CREATE TABLE issue_labels (
  issue_id BIGINT NOT NULL REFERENCES issues (id) ON DELETE CASCADE,
  label_id BIGINT NOT NULL REFERENCES labels (id) ON DELETE CASCADE,
  PRIMARY KEY (issue_id, label_id)
);
CREATE INDEX issue_labels_label ON issue_labels (label_id);
INSERT INTO issue_labels (issue_id, label_id)
  SELECT t.issue_id, l.id FROM issue_label_texts t JOIN issues i ON i.id = t.issue_id
  JOIN labels l ON l.project_id = i.project_id AND l.title = t.label;
DROP TABLE issue_label_texts;

ALTER TABLE projects ADD COLUMN last_milestone_iid BIGINT NOT NULL DEFAULT 0;

CREATE TABLE milestones (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  iid BIGINT NOT NULL,
  title {BYTE_ORDERED} NOT NULL,
  description TEXT,
  -- Both are the midnight UTC that begins the day.
  start_date BIGINT,
  due_date BIGINT,
  closed_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX milestones_iid ON milestones (project_id, iid);
CREATE UNIQUE INDEX milestones_title ON milestones (project_id, title);

ALTER TABLE issues ADD COLUMN milestone_id BIGINT REFERENCES milestones (id) ON DELETE SET NULL;
CREATE INDEX issues_milestone ON issues (milestone_id);

-- What others found out about a commit. Of several with one name and ref the last one counts; those before it stay.
CREATE TABLE commit_statuses (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  author_id BIGINT NOT NULL REFERENCES users (id),
  sha TEXT NOT NULL,
  -- The branch or tag it is about; empty when nobody said.
  ref_name TEXT NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'success', 'failed', 'canceled', 'skipped')),
  target_url TEXT,
  description TEXT,
  -- Percent of the code that tests reach, as a decimal number.
  coverage TEXT,
  superseded_at BIGINT,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT
);
CREATE INDEX commit_statuses_sha ON commit_statuses (project_id, sha, id);
CREATE UNIQUE INDEX commit_statuses_current ON commit_statuses (project_id, sha, ref_name, name)
  WHERE superseded_at IS NULL;
CREATE INDEX commit_statuses_author ON commit_statuses (author_id);

CREATE TABLE releases (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  author_id BIGINT NOT NULL REFERENCES users (id),
  tag {BYTE_ORDERED} NOT NULL,
  -- The commit that the tag named when the release was made; null when it named something else.
  sha TEXT,
  name TEXT,
  description TEXT,
  released_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX releases_tag ON releases (project_id, tag);
CREATE INDEX releases_released ON releases (project_id, released_at, id);
CREATE INDEX releases_author ON releases (author_id);

CREATE TABLE release_milestones (
  release_id BIGINT NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
  milestone_id BIGINT NOT NULL REFERENCES milestones (id) ON DELETE CASCADE,
  PRIMARY KEY (release_id, milestone_id)
);
CREATE INDEX release_milestones_milestone ON release_milestones (milestone_id);

CREATE TABLE release_links (
  id {PK},
  release_id BIGINT NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  url TEXT NOT NULL,
  -- Where it is found below the release's own address; it begins with a slash.
  direct_asset_path TEXT,
  link_type TEXT NOT NULL CHECK (link_type IN ('other', 'runbook', 'image', 'package')),
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX release_links_name ON release_links (release_id, name);
CREATE UNIQUE INDEX release_links_url ON release_links (release_id, url);
CREATE UNIQUE INDEX release_links_path ON release_links (release_id, direct_asset_path);
