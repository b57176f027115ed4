-- As commit 859c1ca (2026-11-22) writes it: a few trials and what hangs on a sprint.
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	applied DOUBLE NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO schema_version VALUES (1, 1.79597977246998834611e+09);
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
INSERT INTO sprint VALUES (1, 1.79597977266801595692e+09, 'fewer joules', '{"metric": "train/energy_j"}', 'running', NULL, '{"campaign": "camp"}');
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
INSERT INTO trial VALUES (1, 's1', 'c', 'd', 'cpu:x x2', 0, 1, '["data=digits", "optimizer=lion", "seed=1"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'done', NULL, NULL, 'one', 'person', 'runs/a', 1, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 16781 3671030', 1.7959798325329935551e+09, 1.79597977253299355502e+09, 1795979772.57898, '{"threads": 1}');
INSERT INTO trial VALUES (2, 's2', 'c', 'd', 'cpu:x x2', 0, 2, '["data=digits", "seed=2"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'failed', 'diverged: the loss is nan at step 3', NULL, 'one', 'person', NULL, 1, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 16781 3671030', 1.795979832595998764e+09, 1.79597977259599876406e+09, 1.79597977260400509837e+09, '{}');
INSERT INTO trial VALUES (3, 's3', 'c', 'd', 'cpu:x x2', 0, 3, '["data=digits", "seed=3"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'failed', 'stopped early: it could not win', NULL, 'two', 'person', NULL, 1, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 16781 3671030', 1.79597983261700034143e+09, 1.79597977261700034144e+09, 1.79597977262701845174e+09, '{}');
INSERT INTO trial VALUES (4, 's4', 'c', 'd', 'cpu:x x2', 0, 4, '["data=digits", "seed=4"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'running', NULL, NULL, NULL, 'person', NULL, 1, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 16781 3671030', 1.79597983263401889805e+09, 1.79597977263401889806e+09, NULL, '{}');
INSERT INTO trial VALUES (5, 's1', 'c', 'd', 'cpu:x x2', 1, 1, '["data=digits", "optimizer=lion", "seed=1"]', '{"seed": 1, "optimizer": {"lr": 0.001}, "score": "val/accuracy", "odd": {"$float": "nan"}}', 'done', NULL, NULL, NULL, 'person', NULL, 1, 'vm ca6bd560-cf53-40c9-85fa-a63651f8df7c pid:[4026531836] 16781 3671030', 1.79597983265099740029e+09, 1.79597977265099740034e+09, 1.79597977265900373465e+09, '{}');
CREATE TABLE experiment (
	id INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	sprint_id INTEGER, 
	proposal TEXT NOT NULL, 
	status TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(sprint_id) REFERENCES sprint (id)
);
INSERT INTO experiment VALUES (1, 1.79597977268499422076e+09, 1, '{"hypothesis": "Lion needs fewer joules.", "overrides": ["optimizer=lion"], "control": [], "metric": "train/energy_j", "direction": "min", "smallest_effect": 0.05, "refuted_by": "more joules", "domain": "efficiency", "proposer": "random"}', 'proposed', '{}');
CREATE TABLE interaction (
	id INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	sprint_id INTEGER, 
	role TEXT NOT NULL, 
	model TEXT NOT NULL, 
	prompt TEXT NOT NULL, 
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
INSERT INTO interaction VALUES (1, 1.79597977271001935008e+09, NULL, 'critic', 'm', 'p', 'r', 'done', 3, NULL, NULL, NULL, NULL, '{}');
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
	experiment_id INTEGER NOT NULL, 
	role TEXT NOT NULL, 
	score DOUBLE, 
	content TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(experiment_id) REFERENCES experiment (id)
);
INSERT INTO review VALUES (1, 1.79597977269698381424e+09, 1, 'critic', 6.0, '{"a": 1}', '{}');
CREATE TABLE insight (
	id INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	sprint_id INTEGER, 
	experiment_id INTEGER, 
	word TEXT NOT NULL, 
	insight TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(sprint_id) REFERENCES sprint (id), 
	FOREIGN KEY(experiment_id) REFERENCES experiment (id)
);
CREATE INDEX ix_trial_sweep ON trial (sweep);
CREATE INDEX ix_experiment_sprint_id ON experiment (sprint_id);
CREATE INDEX ix_interaction_sprint_id ON interaction (sprint_id);
CREATE INDEX ix_review_experiment_id ON review (experiment_id);
CREATE INDEX ix_insight_sprint_id ON insight (sprint_id);
CREATE INDEX ix_insight_experiment_id ON insight (experiment_id);
