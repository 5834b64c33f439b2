-- Written by the code of schema version 2 (commit 7b0b4a1) with sqlite3's iterdump.
BEGIN TRANSACTION;
CREATE TABLE feedback_items (
	number INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	environment TEXT NOT NULL, 
	body TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	vocabulary TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
INSERT INTO "feedback_items" VALUES(1,'sha256:5b9e2343d46828876c7d11acf5b0127eaec6f5c7fc50e74839444194c0ee6c5d','MMVQA-v0','{"environment":"MMVQA-v0","id":"sha256:5b9e2343d46828876c7d11acf5b0127eaec6f5c7fc50e74839444194c0ee6c5d","kind":"item","media":[],"text":"Which colour has number 0?","vocabulary":""}','33087896c8cebe4c971d9b62b8c8a8171ce12b0007c247145c6da9b8921615d3','');
INSERT INTO "feedback_items" VALUES(2,'sha256:2045f56f8d082ce2d4b014b2eedba07f1bcd866433524921a09c7529b55fa5b0','MMVQA-v0','{"environment":"MMVQA-v0","id":"sha256:2045f56f8d082ce2d4b014b2eedba07f1bcd866433524921a09c7529b55fa5b0","kind":"item","media":[],"text":"Which colour has number 1?","vocabulary":""}','6bb1e74c3ae4879c14580e8e58bc379a2ea4e5189a6d3a2e8db083358beade76','');
CREATE TABLE feedback_records (
	number INTEGER NOT NULL, 
	id VARCHAR(32) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	"query" TEXT NOT NULL, 
	annotator TEXT NOT NULL, 
	item TEXT NOT NULL, 
	body TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id), 
	FOREIGN KEY(item) REFERENCES feedback_items (id)
);
INSERT INTO "feedback_records" VALUES(1,'b313d49307d6d4087ca56d9de9644cd8','pairwise','e1dbdb73bc2176fcb6b9f4b7b856b2b8','ann','sha256:5b9e2343d46828876c7d11acf5b0127eaec6f5c7fc50e74839444194c0ee6c5d','{"annotator":"ann","answers":["red","0"],"choice":"first","displayed":[],"item":"sha256:5b9e2343d46828876c7d11acf5b0127eaec6f5c7fc50e74839444194c0ee6c5d","kind":"pairwise","latency":null,"query":"e1dbdb73bc2176fcb6b9f4b7b856b2b8","reward_model":"","sampler":"","time":0.0}','22ce23a664c24d5560d9122222f4a566300bf7c8fc52caeb56b06ce568c1c525');
INSERT INTO "feedback_records" VALUES(2,'db17a5ff959108976cac874d6daeb20b','pairwise','431f34a569ccb25b0ed637a594ee5b12','bob','sha256:2045f56f8d082ce2d4b014b2eedba07f1bcd866433524921a09c7529b55fa5b0','{"annotator":"bob","answers":["red","1"],"choice":"tie","displayed":[],"item":"sha256:2045f56f8d082ce2d4b014b2eedba07f1bcd866433524921a09c7529b55fa5b0","kind":"pairwise","latency":null,"query":"431f34a569ccb25b0ed637a594ee5b12","reward_model":"","sampler":"","time":0.0}','2d858d0228653be82aa2aa0b98a12a3e834e7451f3d1c84248b1709edb3214c8');
INSERT INTO "feedback_records" VALUES(3,'1428cfee08a08d1a36344fc026651ef9','rating','r','ann','sha256:5b9e2343d46828876c7d11acf5b0127eaec6f5c7fc50e74839444194c0ee6c5d','{"annotator":"ann","answers":["a red cube"],"displayed":[],"high":5.0,"item":"sha256:5b9e2343d46828876c7d11acf5b0127eaec6f5c7fc50e74839444194c0ee6c5d","kind":"rating","latency":null,"low":1.0,"query":"r","rating":4.0,"reward_model":"","sampler":"","time":1500000000.0}','c7cd65c71e63ca66ac50a5dcec74231d66c50e73f4d421f06281860769a913ea');
INSERT INTO "feedback_records" VALUES(4,'e88e1eff9dc52ddd599f47efa82af801','critique','c','ann','sha256:5b9e2343d46828876c7d11acf5b0127eaec6f5c7fc50e74839444194c0ee6c5d','{"annotator":"ann","answers":["a red cube"],"comment":"","displayed":[],"item":"sha256:5b9e2343d46828876c7d11acf5b0127eaec6f5c7fc50e74839444194c0ee6c5d","kind":"critique","latency":null,"query":"c","reward_model":"","sampler":"","start":1,"stop":2,"time":0.0,"verdict":"good"}','d915c0ad05365cce7a6c6f97ce18872e9bd3c5ece287d914fa7143e2f286f1e3');
INSERT INTO "feedback_records" VALUES(5,'c0bb84f7da0ac3a01e9ebe0886d74753','critique','c','ann','sha256:5b9e2343d46828876c7d11acf5b0127eaec6f5c7fc50e74839444194c0ee6c5d','{"annotator":"ann","answers":["a red cube"],"comment":"","displayed":[],"item":"sha256:5b9e2343d46828876c7d11acf5b0127eaec6f5c7fc50e74839444194c0ee6c5d","kind":"critique","latency":null,"query":"c","reward_model":"","sampler":"","start":0,"stop":1,"time":0.0,"verdict":"bad"}','45ebbdd0869fb0fa3d43e6ad49fdbcde06911c45455311d1ce7dc075a2db0758');
CREATE TABLE feedback_schema (
	version INTEGER NOT NULL, 
	time FLOAT NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "feedback_schema" VALUES(2,1.79585972453987574581e+09);
CREATE INDEX feedback_records_annotator ON feedback_records (annotator);
CREATE TRIGGER feedback_schema_no_update BEFORE UPDATE ON feedback_schema BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END;
CREATE TRIGGER feedback_schema_no_delete BEFORE DELETE ON feedback_schema BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END;
CREATE TRIGGER feedback_items_no_update BEFORE UPDATE ON feedback_items BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END;
CREATE TRIGGER feedback_items_no_delete BEFORE DELETE ON feedback_items BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END;
CREATE TRIGGER feedback_records_no_update BEFORE UPDATE ON feedback_records BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END;
CREATE TRIGGER feedback_records_no_delete BEFORE DELETE ON feedback_records BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END;
COMMIT;
