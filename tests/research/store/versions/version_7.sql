-- As commit 6f1625c (2026-11-30) writes it: a few trials and what hangs on a sprint.
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	applied DOUBLE NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO schema_version VALUES (7, 1.79600629073898649216e+09);
CREATE TABLE sprint (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	created DOUBLE NOT NULL, 
	goal TEXT NOT NULL, 
	objective TEXT NOT NULL, 
	status TEXT NOT NULL, 
	folder TEXT, 
	facts TEXT NOT NULL
);
INSERT INTO sprint VALUES (1, 1.79600629125099325181e+09, 'fewer joules', '{"metric": "train/energy_j"}', 'running', NULL, '{"campaign": "camp"}');
CREATE TABLE comparison (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	created DOUBLE NOT NULL, 
	question TEXT NOT NULL, 
	name TEXT NOT NULL, 
	word TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	UNIQUE (question, name)
);
INSERT INTO comparison VALUES (1, 1.79600629136799120905e+09, 'q', 'n1', 'supported', '{"turn": 0}');
CREATE TABLE trial (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
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
	needs TEXT DEFAULT 'cpu' NOT NULL, 
	priority INTEGER DEFAULT '0' NOT NULL, 
	not_before DOUBLE DEFAULT '0' NOT NULL, 
	cancel INTEGER DEFAULT '0' NOT NULL, 
	token TEXT, 
	owner TEXT NOT NULL, 
	lease_until DOUBLE NOT NULL, 
	started DOUBLE NOT NULL, 
	finished DOUBLE, 
	facts TEXT NOT NULL, 
	config_sha TEXT, 
	UNIQUE (signature, code, data, hardware, replicate), 
	CONSTRAINT held_by_a_token CHECK ((status IN ('leased', 'running')) = (token IS NOT NULL)), 
	UNIQUE (token)
);
INSERT INTO trial VALUES (1, 's1', 'c', 'd', 'cpu:x x2', 0, 1, '["data=digits", "optimizer=lion", "seed=1"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'done', NULL, NULL, 'one', 'person', 'runs/a', 'cpu', 0, 0.0, 0, NULL, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 2880 6322756', 1.79600635085200119019e+09, 1796006290.78099, 1.79600629089698195454e+09, '{"energy_method": "estimated"}', 'bd34bae59d5384f45e7ab1827547f5523732d8474376c122869d7ecc74dc6639');
INSERT INTO trial VALUES (2, 's2', 'c', 'd', 'cpu:x x2', 0, 2, '["data=digits", "seed=2"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'failed', 'diverged: the loss is nan at step 3', NULL, 'one', 'person', NULL, 'cpu', 0, 0.0, 0, NULL, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 2880 6322756', 1.79600635096401023858e+09, 1.79600629096401023863e+09, 1.79600629100400209425e+09, '{}', '5f76ed0129f20e6c5846ea106a557d68332f649da46ccc8e004fd7a5dff313a9');
INSERT INTO trial VALUES (3, 's3', 'c', 'd', 'cpu:x x2', 0, 3, '["data=digits", "seed=3"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'stopped', 'stopped early: it could not win', NULL, 'two', 'person', NULL, 'cpu', 0, 0.0, 0, NULL, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 2880 6322756', 1.79600635104001069074e+09, 1.79600629104001069066e+09, 1.79600629108398556713e+09, '{"spent": {"train/energy_j": 0.5}}', '817d93e71ae6da825353e230922db54fff4e768e0ae381f821e3674131eb4e22');
INSERT INTO trial VALUES (4, 's4', 'c', 'd', 'cpu:x x2', 0, 4, '["data=digits", "seed=4"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'running', NULL, NULL, NULL, 'person', NULL, 'cpu', 0, 0.0, 0, '135693e569f37411fafbf13b46f7582f', 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 2880 6322756', 1.79600635112401747707e+09, 1.79600629112401747699e+09, NULL, '{}', '949e93c12819b6f561348a7859f1f34f911192eaab0c63a2ba139bc7d49b02e6');
INSERT INTO trial VALUES (5, 's1', 'c', 'd', 'cpu:x x2', 1, 1, '["data=digits", "optimizer=lion", "seed=1"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'done', NULL, NULL, NULL, 'person', NULL, 'cpu', 0, 0.0, 0, NULL, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 2880 6322756', 1.79600635117298126222e+09, 1.79600629117298126215e+09, 1.79600629121800208095e+09, '{}', 'bd34bae59d5384f45e7ab1827547f5523732d8474376c122869d7ecc74dc6639');
CREATE TABLE pause (
	name TEXT NOT NULL, 
	created DOUBLE NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE lease (
	name TEXT NOT NULL, 
	token TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	until DOUBLE NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE proposal (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	created DOUBLE NOT NULL, 
	sprint_id INTEGER, 
	proposal TEXT NOT NULL, 
	status TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	FOREIGN KEY(sprint_id) REFERENCES sprint (id)
);
INSERT INTO proposal VALUES (1, 1.79600629128499031071e+09, 1, '{"hypothesis": "Lion needs fewer joules.", "overrides": ["optimizer=lion"], "control": [], "metric": "train/energy_j", "direction": "min", "smallest_effect": 0.05, "refuted_by": "more joules", "domain": "efficiency", "proposer": "random", "parent": null, "cites": [], "cost": {}}', 'proposed', '{}');
CREATE TABLE interaction (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
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
	FOREIGN KEY(sprint_id) REFERENCES sprint (id)
);
INSERT INTO interaction VALUES (1, 1.79600629132900524139e+09, NULL, 'critic', 'm', 'p', NULL, 'r', 'done', 3, NULL, NULL, NULL, NULL, '{}');
CREATE TABLE attempt (
	trial_id INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	token TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	engine TEXT NOT NULL, 
	started DOUBLE NOT NULL, 
	seen DOUBLE NOT NULL, 
	step BIGINT, 
	ended DOUBLE, 
	outcome TEXT, 
	reason TEXT, 
	seconds DOUBLE, 
	cpu_seconds DOUBLE, 
	joules DOUBLE, 
	joules_method TEXT, 
	PRIMARY KEY (trial_id, n), 
	FOREIGN KEY(trial_id) REFERENCES trial (id), 
	UNIQUE (token)
);
INSERT INTO attempt VALUES (1, 1, 'b4da09c2a922915c22fd354c62a19497', 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 2880 6322756', 'local', 1796006290.78099, 1.79600629086700820918e+09, 5, 1.79600629090800571439e+09, 'done', NULL, 0.5, 0.4, 1.5, 'estimated');
INSERT INTO attempt VALUES (2, 1, '4fe43ee11afcbc45f434409672166436', 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 2880 6322756', 'local', 1.79600629096401023863e+09, 1.79600629096401023863e+09, NULL, 1.79600629100500798224e+09, 'configuration', 'diverged: the loss is nan at step 3', NULL, NULL, NULL, NULL);
INSERT INTO attempt VALUES (3, 1, 'deb403d43c3a5d0a69c942fc2d126143', 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 2880 6322756', 'local', 1.79600629104001069066e+09, 1.79600629104001069066e+09, NULL, 1.79600629108499145513e+09, 'configuration', 'stopped early: it could not win', NULL, NULL, 0.5, NULL);
INSERT INTO attempt VALUES (4, 1, '135693e569f37411fafbf13b46f7582f', 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 2880 6322756', 'local', 1.79600629112401747699e+09, 1.79600629112401747699e+09, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO attempt VALUES (5, 1, '9fe8a396ed58992726a9f3932eb3c251', 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 2880 6322756', 'local', 1.79600629117298126215e+09, 1.79600629117298126215e+09, NULL, 1.79600629122001385689e+09, 'done', NULL, NULL, NULL, NULL, NULL);
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
 WITHOUT ROWID

;
INSERT INTO metric VALUES (1, -1, 'train/energy_j', 2.5, NULL, NULL, NULL);
INSERT INTO metric VALUES (1, -1, 'val/accuracy', 0.9, NULL, NULL, NULL);
INSERT INTO metric VALUES (1, -1, 'x', NULL, NULL, NULL, NULL);
INSERT INTO metric VALUES (1, 0, 'val/loss', 0.5, 1, 0.1, NULL);
INSERT INTO metric VALUES (5, -1, 'val/accuracy', 0.91, NULL, NULL, NULL);
CREATE TABLE review (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	created DOUBLE NOT NULL, 
	proposal_id INTEGER NOT NULL, 
	role TEXT NOT NULL, 
	score DOUBLE, 
	content TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	FOREIGN KEY(proposal_id) REFERENCES proposal (id)
);
INSERT INTO review VALUES (1, 1.79600629131399846076e+09, 1, 'critic', 6.0, '{"a": 1}', '{}');
CREATE TABLE insight (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	created DOUBLE NOT NULL, 
	sprint_id INTEGER, 
	proposal_id INTEGER, 
	word TEXT NOT NULL, 
	insight TEXT NOT NULL, 
	facts TEXT NOT NULL, 
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
INSERT INTO episode VALUES (1, 1.79600629092699575427e+09, 1, NULL, NULL, 'digits', NULL, '["optimizer=lion"]', 'k21fadf2618356132 k23732d00643137c9 kcc70652d03e1f9b8 wdone woptimizer wlion k8f6cf811023c8dbe k6aa64b3c5e96cdc9 kb2687ae6a8f38dbb kc3fde6ace6e87d44');
INSERT INTO episode VALUES (2, 1.79600629100999689105e+09, 2, NULL, NULL, 'digits', NULL, '[]', 'k21fadf2618356132 wfailed wdiverged wthe wloss wis wnan wat wstep w3 k8f6cf811023c8dbe k6aa64b3c5e96cdc9');
INSERT INTO episode VALUES (3, 1.7960062910960152149e+09, 3, NULL, NULL, 'digits', NULL, '[]', 'k21fadf2618356132 wstopped wearly wit wcould wnot wwin k8f6cf811023c8dbe k6aa64b3c5e96cdc9');
INSERT INTO episode VALUES (4, 1.79600629122001385689e+09, 5, NULL, NULL, 'digits', NULL, '["optimizer=lion"]', 'k21fadf2618356132 k23732d00643137c9 kcc70652d03e1f9b8 wdone woptimizer wlion k8f6cf811023c8dbe k6aa64b3c5e96cdc9 kb2687ae6a8f38dbb kc3fde6ace6e87d44');
INSERT INTO episode VALUES (5, 1.79600629128700208661e+09, NULL, 1, NULL, NULL, 'train/energy_j', '["optimizer=lion"]', 'ke9bef2f8d6fda8d0 k23732d00643137c9 kcc70652d03e1f9b8 k3595ab63b6f01851 wlion wneeds wfewer wjoules wmore wefficiency woptimizer');
CREATE INDEX ix_comparison_question ON comparison (question);
CREATE INDEX ix_trial_open ON trial (status) WHERE status IN ('queued', 'leased', 'running');
CREATE INDEX ix_trial_sweep ON trial (sweep);
CREATE INDEX ix_proposal_sprint_id ON proposal (sprint_id);
CREATE INDEX ix_interaction_sprint_id ON interaction (sprint_id);
CREATE INDEX ix_interaction_digest ON interaction (digest);
CREATE UNIQUE INDEX ix_attempt_open ON attempt (trial_id) WHERE ended IS NULL;
CREATE UNIQUE INDEX ix_attempt_done ON attempt (trial_id) WHERE outcome = 'done';
CREATE INDEX ix_review_proposal_id ON review (proposal_id);
CREATE INDEX ix_insight_sprint_id ON insight (sprint_id);
CREATE INDEX ix_insight_proposal_id ON insight (proposal_id);
CREATE INDEX ix_episode_insight_id ON episode (insight_id);
CREATE INDEX ix_episode_task ON episode (task);
CREATE INDEX ix_episode_trial_id ON episode (trial_id);
CREATE INDEX ix_episode_proposal_id ON episode (proposal_id);
CREATE VIRTUAL TABLE episode_terms USING fts5(terms, content='episode', content_rowid='id', tokenize='ascii', detail=none);
INSERT INTO episode_terms(episode_terms, rank) VALUES ('pgsz', 256);
INSERT INTO episode_terms(episode_terms) VALUES ('rebuild');
CREATE TRIGGER episode_added AFTER INSERT ON episode BEGIN INSERT INTO episode_terms(rowid, terms) VALUES (new.id, new.terms); END;
CREATE TRIGGER episode_forgotten AFTER DELETE ON episode BEGIN INSERT INTO episode_terms(episode_terms, rowid, terms) VALUES ('delete', old.id, old.terms); END;
CREATE TRIGGER episode_kept BEFORE UPDATE ON episode BEGIN SELECT RAISE(ABORT, 'an episode is never rewritten'); END;
