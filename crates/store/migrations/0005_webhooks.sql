-- Web hooks: addresses that are called when something happens in a project.

CREATE TABLE webhooks (
  id {PK},
  project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  -- What the calls of one hook have in common, for whoever receives them.
  uuid TEXT NOT NULL,
  url TEXT NOT NULL,
  name TEXT,
  description TEXT,
  -- The secret that goes with each call, encrypted with a key that is not in the database.
  sealed_token {BYTES},
  -- The names of the events it is called for, with commas between them.
  events TEXT NOT NULL,
  -- Of which branches pushes are told; null is all.
  branch_filter TEXT,
  -- Since when the certificate of the other side is not looked at.
  unverified_since BIGINT,
  -- How many calls failed since the last one that did not.
  failures BIGINT NOT NULL,
  -- Until when it is not called, and since when it is not called any more, because calls failed.
  disabled_until BIGINT,
  disabled_at BIGINT,
  created_at BIGINT NOT NULL
);
CREATE INDEX webhooks_project ON webhooks (project_id);

-- A call that is to be made, written in the transaction that makes the thing happen.
CREATE TABLE webhook_calls (
  id {PK},
  webhook_id BIGINT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
  -- The same for every attempt.
  idempotency_key TEXT NOT NULL,
  event TEXT NOT NULL,
  body TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  -- Until when a worker has it for itself.
  claimed_until BIGINT,
  created_at BIGINT NOT NULL
);
CREATE INDEX webhook_calls_hook ON webhook_calls (webhook_id);
CREATE INDEX webhook_calls_due ON webhook_calls (run_at);
