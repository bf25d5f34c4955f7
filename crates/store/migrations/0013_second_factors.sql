-- A second factor for signing in with a browser: a secret that the person's authenticator has too, encrypted with the key
-- beside the database. It is recorded once its owner has shown a code made with it.
CREATE TABLE second_factors (
  user_id BIGINT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  sealed_secret {BYTES} NOT NULL,
  -- The last step whose code was taken; none up to it is taken again.
  last_step BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);

-- Codes for whoever has lost the authenticator, each good once. Only a digest of each is kept.
CREATE TABLE recovery_codes (
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  digest {BYTES} NOT NULL,
  PRIMARY KEY (user_id, digest)
);

-- Whoever has given the right password and not yet the code. It is no session, and opens nothing.
CREATE TABLE pending_sign_ins (
  digest {BYTES} PRIMARY KEY,
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  attempts BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX pending_sign_ins_user ON pending_sign_ins (user_id);
CREATE INDEX pending_sign_ins_created ON pending_sign_ins (created_at);

-- Since when whoever belongs to it, or to anything above or below it, needs a second factor.
ALTER TABLE namespaces ADD COLUMN second_factor_required_since BIGINT;
CREATE INDEX namespaces_second_factor ON namespaces (second_factor_required_since)
  WHERE second_factor_required_since IS NOT NULL;
