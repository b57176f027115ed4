-- As commit f78141f (2026-11-29) writes it: a few trials and what hangs on a sprint.
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	applied DOUBLE NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO schema_version VALUES (5, 1.79597978476901650431e+09);
CREATE TABLE sprint (
	id INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	goal TEXT NOT NULL, 
	objective TEXT NOT NULL, 
	status TEXT NOT NULL, 
	folder TEXT, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO sprint VALUES (1, 1.79597978492701196677e+09, 'fewer joules', '{"metric": "train/energy_j"}', 'running', NULL, '{"campaign": "camp"}');
CREATE TABLE comparison (
	id INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	question TEXT NOT NULL, 
	name TEXT NOT NULL, 
	word TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (question, name)
);
INSERT INTO comparison VALUES (1, 1.79597978494000720976e+09, 'q', 'n1', 'supported', '{"turn": 0}');
CREATE TABLE trial (
	id INTEGER NOT NULL, 
	signature TEXT NOT NULL, 
	code TEXT NOT NULL, 
	data TEXT NOT NULL, 
	hardware TEXT NOT NULL, 
	replicate INTEGER NOT NULL, 
	seed BIGINT NOT NULL, 
	overrides TEXT NOT NULL, 
	config TEXT NOT NULL, 
	status TEXT NOT NULL, 
	reason TEXT, 
	name TEXT, 
	sweep TEXT, 
	source TEXT NOT NULL, 
	folder TEXT, 
	token INTEGER NOT NULL, 
	owner TEXT NOT NULL, 
	lease_until DOUBLE NOT NULL, 
	started DOUBLE NOT NULL, 
	finished DOUBLE, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (signature, code, data, hardware, replicate)
);
INSERT INTO trial VALUES (1, 's1', 'c', 'd', 'cpu:x x2', 0, 1, '["data=digits", "optimizer=lion", "seed=1"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'done', NULL, NULL, 'one', 'person', 'runs/a', 1, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 16932 3672182', 1.7959798448150029182e+09, 1.79597978481500291821e+09, 1.79597978482498073574e+09, '{"threads": 1}');
INSERT INTO trial VALUES (2, 's2', 'c', 'd', 'cpu:x x2', 0, 2, '["data=digits", "seed=2"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'failed', 'diverged: the loss is nan at step 3', NULL, 'one', 'person', NULL, 1, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 16932 3672182', 1.79597984484401106833e+09, 1.79597978484401106838e+09, 1.79597978489100337023e+09, '{}');
INSERT INTO trial VALUES (3, 's3', 'c', 'd', 'cpu:x x2', 0, 3, '["data=digits", "seed=3"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'failed', 'stopped early: it could not win', NULL, 'two', 'person', NULL, 1, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 16932 3672182', 1.79597984490601038929e+09, 1.7959797849060103893e+09, 1.79597978491498231883e+09, '{}');
INSERT INTO trial VALUES (4, 's4', 'c', 'd', 'cpu:x x2', 0, 4, '["data=digits", "seed=4"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'running', NULL, NULL, NULL, 'person', NULL, 1, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 16932 3672182', 1.79597984491799974446e+09, 1.79597978491799974446e+09, NULL, '{}');
INSERT INTO trial VALUES (5, 's1', 'c', 'd', 'cpu:x x2', 1, 1, '["data=digits", "optimizer=lion", "seed=1"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'done', NULL, NULL, NULL, 'person', NULL, 1, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 16932 3672182', 1.79597984492001152036e+09, 1.79597978492001152041e+09, 1.79597978492198276519e+09, '{}');
CREATE TABLE proposal (
	id INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	sprint_id INTEGER, 
	proposal TEXT NOT NULL, 
	status TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(sprint_id) REFERENCES sprint (id)
);
INSERT INTO proposal VALUES (1, 1.79597978492898344995e+09, 1, '{"hypothesis": "Lion needs fewer joules.", "overrides": ["optimizer=lion"], "control": [], "metric": "train/energy_j", "direction": "min", "smallest_effect": 0.05, "refuted_by": "more joules", "domain": "efficiency", "proposer": "random", "parent": null, "cites": [], "cost": {}}', 'proposed', '{}');
CREATE TABLE interaction (
	id INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	sprint_id INTEGER, 
	role TEXT NOT NULL, 
	model TEXT NOT NULL, 
	prompt TEXT NOT NULL, 
	digest TEXT, 
	reply TEXT, 
	outcome TEXT NOT NULL, 
	tokens_in INTEGER, 
	tokens_out INTEGER, 
	dollars DOUBLE, 
	seconds DOUBLE, 
	joules DOUBLE, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(sprint_id) REFERENCES sprint (id)
);
INSERT INTO interaction VALUES (1, 1.79597978493698978426e+09, NULL, 'critic', 'm', 'p', NULL, 'r', 'done', 3, NULL, NULL, NULL, NULL, '{}');
CREATE TABLE metric (
	trial_id INTEGER NOT NULL, 
	point INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	value DOUBLE, 
	step BIGINT, 
	second DOUBLE, 
	joule DOUBLE, 
	PRIMARY KEY (trial_id, point, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trial (id)
)
 WITHOUT ROWID;
INSERT INTO metric VALUES (1, -1, 'train/energy_j', 2.5, NULL, NULL, NULL);
INSERT INTO metric VALUES (1, -1, 'val/accuracy', 0.9, NULL, NULL, NULL);
INSERT INTO metric VALUES (1, -1, 'x', NULL, NULL, NULL, NULL);
INSERT INTO metric VALUES (1, 0, 'val/loss', 0.5, 1, 0.1, NULL);
INSERT INTO metric VALUES (5, -1, 'val/accuracy', 0.91, NULL, NULL, NULL);
CREATE TABLE review (
	id INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	proposal_id INTEGER NOT NULL, 
	role TEXT NOT NULL, 
	score DOUBLE, 
	content TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(proposal_id) REFERENCES proposal (id)
);
INSERT INTO review VALUES (1, 1.79597978493501853947e+09, 1, 'critic', 6.0, '{"a": 1}', '{}');
CREATE TABLE insight (
	id INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	sprint_id INTEGER, 
	proposal_id INTEGER, 
	word TEXT NOT NULL, 
	insight TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(sprint_id) REFERENCES sprint (id), 
	FOREIGN KEY(proposal_id) REFERENCES proposal (id)
);
CREATE TABLE episode (
	id INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	trial_id INTEGER, 
	proposal_id INTEGER, 
	insight_id INTEGER, 
	task TEXT, 
	metric TEXT, 
	overrides TEXT NOT NULL, 
	terms TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(trial_id) REFERENCES trial (id), 
	FOREIGN KEY(proposal_id) REFERENCES proposal (id), 
	FOREIGN KEY(insight_id) REFERENCES insight (id)
);
INSERT INTO episode VALUES (1, 1.79597978483600473407e+09, 1, NULL, NULL, 'digits', NULL, '["optimizer=lion"]', 'k21fadf2618356132 k23732d00643137c9 kcc70652d03e1f9b8 wdone woptimizer wlion k8f6cf811023c8dbe k6aa64b3c5e96cdc9 kb2687ae6a8f38dbb kc3fde6ace6e87d44');
INSERT INTO episode VALUES (2, 1.79597978489200925823e+09, 2, NULL, NULL, 'digits', NULL, '[]', 'k21fadf2618356132 wfailed wdiverged wthe wloss wis wnan wat wstep w3 k8f6cf811023c8dbe k6aa64b3c5e96cdc9');
INSERT INTO episode VALUES (3, 1.79597978491498231883e+09, 3, NULL, NULL, 'digits', NULL, '[]', 'k21fadf2618356132 wfailed wstopped wearly wit wcould wnot wwin k8f6cf811023c8dbe k6aa64b3c5e96cdc9');
INSERT INTO episode VALUES (4, 1.79597978492298865314e+09, 5, NULL, NULL, 'digits', NULL, '["optimizer=lion"]', 'k21fadf2618356132 k23732d00643137c9 kcc70652d03e1f9b8 wdone woptimizer wlion k8f6cf811023c8dbe k6aa64b3c5e96cdc9 kb2687ae6a8f38dbb kc3fde6ace6e87d44');
INSERT INTO episode VALUES (5, 1.7959797849299893379e+09, NULL, 1, NULL, NULL, 'train/energy_j', '["optimizer=lion"]', 'ke9bef2f8d6fda8d0 k23732d00643137c9 kcc70652d03e1f9b8 k3595ab63b6f01851 wlion wneeds wfewer wjoules wmore wefficiency woptimizer');
CREATE VIRTUAL TABLE episode_terms USING fts5(terms, content='episode', content_rowid='id', tokenize='ascii', detail=none);
CREATE INDEX ix_comparison_question ON comparison (question);
CREATE INDEX ix_trial_sweep ON trial (sweep);
CREATE INDEX ix_proposal_sprint_id ON proposal (sprint_id);
CREATE INDEX ix_interaction_sprint_id ON interaction (sprint_id);
CREATE INDEX ix_interaction_digest ON interaction (digest);
CREATE INDEX ix_review_proposal_id ON review (proposal_id);
CREATE INDEX ix_insight_sprint_id ON insight (sprint_id);
CREATE INDEX ix_insight_proposal_id ON insight (proposal_id);
CREATE INDEX ix_episode_insight_id ON episode (insight_id);
CREATE INDEX ix_episode_trial_id ON episode (trial_id);
CREATE INDEX ix_episode_task ON episode (task);
CREATE INDEX ix_episode_proposal_id ON episode (proposal_id);
INSERT INTO episode_terms(episode_terms) VALUES ('rebuild');
CREATE TRIGGER episode_added AFTER INSERT ON episode BEGIN INSERT INTO episode_terms(rowid, terms) VALUES (new.id, new.terms); END;
CREATE TRIGGER episode_forgotten AFTER DELETE ON episode BEGIN INSERT INTO episode_terms(episode_terms, rowid, terms) VALUES ('delete', old.id, old.terms); END;
CREATE TRIGGER episode_kept BEFORE UPDATE ON episode BEGIN SELECT RAISE(ABORT, 'an episode is never rewritten'); END;
