-- What a component imports: nothing but the guest contract (pure), or WASI that is answered by constants of the host
-- (stubbed). Those that were there before are pure: nothing else was admitted.
ALTER TABLE _components ADD COLUMN class TEXT NOT NULL DEFAULT 'pure' CHECK (class IN ('pure', 'stubbed'));
