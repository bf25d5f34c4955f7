-- Merge requests, and what a project says about merging.

ALTER TABLE projects ADD COLUMN merge_requests_access TEXT NOT NULL DEFAULT 'enabled'
  CHECK (merge_requests_access IN ('disabled', 'private', 'enabled'));
ALTER TABLE projects ADD COLUMN last_merge_request_iid BIGINT NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN merge_method TEXT NOT NULL DEFAULT 'merge'
  CHECK (merge_method IN ('merge', 'rebase_merge', 'ff'));
ALTER TABLE projects ADD COLUMN squash_option TEXT NOT NULL DEFAULT 'default_off'
  CHECK (squash_option IN ('never', 'always', 'default_on', 'default_off'));
-- Settings of GitLab's names that are on where nothing is recorded: since when they are off.
ALTER TABLE projects ADD COLUMN source_branches_kept_since BIGINT;
ALTER TABLE projects ADD COLUMN autoclose_off_since BIGINT;
-- Settings that are off where nothing is recorded: since when they are on.
ALTER TABLE projects ADD COLUMN merge_needs_success_since BIGINT;
ALTER TABLE projects ADD COLUMN merge_after_skipped_since BIGINT;
ALTER TABLE projects ADD COLUMN merge_needs_resolved_since BIGINT;

CREATE TABLE merge_requests (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  iid BIGINT NOT NULL,
  author_id BIGINT NOT NULL REFERENCES users (id),
  last_editor_id BIGINT REFERENCES users (id),
  title TEXT NOT NULL,
  description TEXT,
  source_branch {BYTE_ORDERED} NOT NULL,
  target_branch {BYTE_ORDERED} NOT NULL,
  milestone_id BIGINT REFERENCES milestones (id) ON DELETE SET NULL,
  discussion_locked_at BIGINT,
  -- Whether its commits become one, and whether its source branch goes, when it is merged.
  squash_at BIGINT,
  source_branch_removed_at BIGINT,
  -- The last commit of the source branch, as last looked at; that of the target branch then; and what both have in common.
  head_sha TEXT NOT NULL,
  start_sha TEXT NOT NULL,
  base_sha TEXT,
  -- Whether the two can be brought together: it holds for exactly head_sha and start_sha.
  merge_status TEXT NOT NULL
    CHECK (merge_status IN ('unchecked', 'can_be_merged', 'cannot_be_merged', 'branch_gone')),
  -- Why the last attempt to merge it by itself failed.
  merge_error TEXT,
  -- Who asked that it be merged by itself as soon as it can be, with which credential and how (JSON).
  auto_merge_by BIGINT REFERENCES users (id),
  auto_merge_at BIGINT,
  auto_merge_token_id BIGINT,
  auto_merge_options TEXT,
  closed_by BIGINT REFERENCES users (id),
  closed_at BIGINT,
  merged_by BIGINT REFERENCES users (id),
  merged_at BIGINT,
  -- What merging made: the merge commit, the squashed commit, and the commit that the target branch had then.
  merge_commit_sha TEXT,
  squash_commit_sha TEXT,
  merged_sha TEXT,
  edited_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX merge_requests_iid ON merge_requests (project_id, iid);
CREATE UNIQUE INDEX merge_requests_open ON merge_requests (project_id, source_branch, target_branch)
  WHERE closed_at IS NULL AND merged_at IS NULL;
CREATE INDEX merge_requests_created ON merge_requests (project_id, created_at, id);
CREATE INDEX merge_requests_source ON merge_requests (project_id, source_branch);
CREATE INDEX merge_requests_target ON merge_requests (project_id, target_branch);
CREATE INDEX merge_requests_merge_commit ON merge_requests (project_id, merge_commit_sha);
CREATE INDEX merge_requests_author ON merge_requests (author_id);
CREATE INDEX merge_requests_last_editor ON merge_requests (last_editor_id);
CREATE INDEX merge_requests_auto_merge ON merge_requests (auto_merge_by);
CREATE INDEX merge_requests_closed_by ON merge_requests (closed_by);
CREATE INDEX merge_requests_merged_by ON merge_requests (merged_by);
CREATE INDEX merge_requests_milestone ON merge_requests (milestone_id);

CREATE TABLE merge_request_labels (
  merge_request_id BIGINT NOT NULL REFERENCES merge_requests (id) ON DELETE CASCADE,
  label_id BIGINT NOT NULL REFERENCES labels (id) ON DELETE CASCADE,
  PRIMARY KEY (merge_request_id, label_id)
);
CREATE INDEX merge_request_labels_label ON merge_request_labels (label_id);

CREATE TABLE merge_request_assignees (
  merge_request_id BIGINT NOT NULL REFERENCES merge_requests (id) ON DELETE CASCADE,
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  PRIMARY KEY (merge_request_id, user_id)
);
CREATE INDEX merge_request_assignees_user ON merge_request_assignees (user_id);

CREATE TABLE merge_request_reviewers (
  merge_request_id BIGINT NOT NULL REFERENCES merge_requests (id) ON DELETE CASCADE,
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  PRIMARY KEY (merge_request_id, user_id)
);
CREATE INDEX merge_request_reviewers_user ON merge_request_reviewers (user_id);

-- Who approved. A user approves once; of deleted users, several approvals may be the Ghost User's.
CREATE TABLE merge_request_approvals (
  id {PK},
  merge_request_id BIGINT NOT NULL REFERENCES merge_requests (id) ON DELETE CASCADE,
  user_id BIGINT NOT NULL REFERENCES users (id),
  created_at BIGINT NOT NULL
);
CREATE INDEX merge_request_approvals_merge_request ON merge_request_approvals (merge_request_id);
CREATE INDEX merge_request_approvals_user ON merge_request_approvals (user_id);

-- What a merge request held after each push to its source branch.
CREATE TABLE merge_request_versions (
  id {PK},
  merge_request_id BIGINT NOT NULL REFERENCES merge_requests (id) ON DELETE CASCADE,
  head_sha TEXT NOT NULL,
  start_sha TEXT NOT NULL,
  base_sha TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX merge_request_versions_merge_request ON merge_request_versions (merge_request_id, id);

-- Which issues it closes when it is merged, as its title and description say.
CREATE TABLE merge_request_closes_issues (
  merge_request_id BIGINT NOT NULL REFERENCES merge_requests (id) ON DELETE CASCADE,
  issue_id BIGINT NOT NULL REFERENCES issues (id) ON DELETE CASCADE,
  PRIMARY KEY (merge_request_id, issue_id)
);
CREATE INDEX merge_request_closes_issues_issue ON merge_request_closes_issues (issue_id);

-- Comments are on issues and on merge requests: exactly one of the two columns says which.
ALTER TABLE notes ADD COLUMN on_issue_id BIGINT REFERENCES issues (id) ON DELETE CASCADE;
UPDATE notes SET on_issue_id = issue_id;
DROP INDEX notes_issue;
ALTER TABLE notes DROP COLUMN issue_id;
ALTER TABLE notes RENAME COLUMN on_issue_id TO issue_id;
ALTER TABLE notes ADD COLUMN merge_request_id BIGINT REFERENCES merge_requests (id) ON DELETE CASCADE;
CREATE INDEX notes_issue ON notes (issue_id, id);
CREATE INDEX notes_merge_request ON notes (merge_request_id, id);
