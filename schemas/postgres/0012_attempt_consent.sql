-- Whether the person had agreed to talk to an AI agent when the attempt was made: whoever takes the line over from a
-- process that died must know.
ALTER TABLE app.attempts ADD COLUMN ai_consent boolean NOT NULL DEFAULT false;
