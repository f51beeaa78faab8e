-- Experiments: sweeps of runs over parameters, and what each run returned. Schema version 3.

CREATE TYPE experiment_status AS ENUM ('pending', 'running', 'complete', 'failed');

CREATE TABLE experiments (
    experiment_id INTEGER PRIMARY KEY,
    name VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    template VARCHAR NOT NULL,
    definition JSON NOT NULL,
    output_url VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE experiments IS 'Sweeps: one template carried out with many sets of parameters';
COMMENT ON COLUMN experiments.experiment_id IS 'Number of the experiment';
COMMENT ON COLUMN experiments.name IS 'Name, unique';
COMMENT ON COLUMN experiments.description IS 'What it is for';
COMMENT ON COLUMN experiments.kind IS 'What a run is: notebook, or function';
COMMENT ON COLUMN experiments.template IS 'The notebook, relative to the project, or the function as module:name';
COMMENT ON COLUMN experiments.definition IS 'The experiment as it was last asked for';
COMMENT ON COLUMN experiments.output_url IS 'Where the folders of its runs lie';
COMMENT ON COLUMN experiments.created_at IS 'First asked for, UTC';
COMMENT ON COLUMN experiments.updated_at IS 'Last asked for, UTC';

CREATE TABLE experiment_runs (
    run_id VARCHAR PRIMARY KEY,
    experiment_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    asked BOOLEAN NOT NULL,
    parameters JSON NOT NULL,
    status experiment_status NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error VARCHAR,
    digest VARCHAR,
    wall_s DOUBLE,
    bytes BIGINT,
    template_sha256 VARCHAR NOT NULL,
    catalog_sha256 VARCHAR NOT NULL,
    code_sha256 VARCHAR NOT NULL,
    versions JSON,
    created_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    runner VARCHAR,
    telemetry_runs JSON
);
COMMENT ON TABLE experiment_runs IS 'The runs of experiments: one set of parameters each, in a folder of its own';
COMMENT ON COLUMN experiment_runs.run_id IS 'Hash of experiment, parameters, template, catalog and code; name of its folder';
COMMENT ON COLUMN experiment_runs.experiment_id IS 'The experiment';
COMMENT ON COLUMN experiment_runs.number IS 'Place in the experiment, from 1';
COMMENT ON COLUMN experiment_runs.asked IS 'Whether the experiment as last asked for has it; false: of an earlier form';
COMMENT ON COLUMN experiment_runs.parameters IS 'Its parameters, by name';
COMMENT ON COLUMN experiment_runs.status IS 'How far it is';
COMMENT ON COLUMN experiment_runs.attempts IS 'How often it came to an end, good or bad';
COMMENT ON COLUMN experiment_runs.error IS 'Why it failed, in one line';
COMMENT ON COLUMN experiment_runs.digest IS 'Content hash of its results and tables, once complete';
COMMENT ON COLUMN experiment_runs.wall_s IS 'Time that it took, s';
COMMENT ON COLUMN experiment_runs.bytes IS 'Size of its folder, bytes';
COMMENT ON COLUMN experiment_runs.template_sha256 IS 'Content hash of the template';
COMMENT ON COLUMN experiment_runs.catalog_sha256 IS 'Content hash of fleet, catalog and what was planned';
COMMENT ON COLUMN experiment_runs.code_sha256 IS 'Content hash of the package';
COMMENT ON COLUMN experiment_runs.versions IS 'Software that made it';
COMMENT ON COLUMN experiment_runs.created_at IS 'First asked for, UTC';
COMMENT ON COLUMN experiment_runs.started_at IS 'When it began, UTC';
COMMENT ON COLUMN experiment_runs.finished_at IS 'When it ended, UTC';
COMMENT ON COLUMN experiment_runs.runner IS 'The process that has it under way: host, number, start, and a mark';
COMMENT ON COLUMN experiment_runs.telemetry_runs IS 'Numbers of the runs, in runs, that keep its telemetry; only where asked for';

CREATE TABLE experiment_results (
    run_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    value DOUBLE,
    text VARCHAR
);
COMMENT ON TABLE experiment_results IS 'What the runs of experiments returned, one row a result';
COMMENT ON COLUMN experiment_results.run_id IS 'The run of the experiment';
COMMENT ON COLUMN experiment_results.name IS 'Name of the result; a dot separates the parts of a nested one';
COMMENT ON COLUMN experiment_results.value IS 'The result where it is a number (true is 1), in the unit its name states';
COMMENT ON COLUMN experiment_results.text IS 'The result where it is none: text, or JSON';

CREATE VIEW experiment_values AS
SELECT e.name AS experiment, r.run_id, r.number, r.parameters, v.name, v.value, v.text
FROM experiment_results v
JOIN experiment_runs r ON r.run_id = v.run_id
JOIN experiments e ON e.experiment_id = r.experiment_id
WHERE r.asked AND r.status = 'complete';
COMMENT ON VIEW experiment_values IS 'Results of the complete runs of the experiments as last asked for';
COMMENT ON COLUMN experiment_values.experiment IS 'Name of the experiment';
COMMENT ON COLUMN experiment_values.run_id IS 'The run of the experiment';
COMMENT ON COLUMN experiment_values.number IS 'Place in the experiment, from 1';
COMMENT ON COLUMN experiment_values.parameters IS 'Its parameters, by name';
COMMENT ON COLUMN experiment_values.name IS 'Name of the result';
COMMENT ON COLUMN experiment_values.value IS 'The result where it is a number';
COMMENT ON COLUMN experiment_values.text IS 'The result where it is none';

CREATE VIEW experiment_progress AS
SELECT
    e.name, e.kind,
    count(*) FILTER (r.asked) AS runs,
    count(*) FILTER (r.asked AND r.status = 'complete') AS complete,
    count(*) FILTER (r.asked AND r.status = 'failed') AS failed,
    count(*) FILTER (r.asked AND r.status = 'running') AS running,
    count(*) FILTER (r.asked AND r.status = 'pending') AS pending,
    count(*) FILTER (NOT r.asked) AS earlier,
    coalesce(sum(r.wall_s) FILTER (r.asked), 0) AS work_s,
    coalesce(sum(r.bytes) FILTER (r.asked), 0) AS bytes,
    e.created_at, e.updated_at, e.template, e.output_url, e.description
FROM experiments e LEFT JOIN experiment_runs r ON r.experiment_id = e.experiment_id
GROUP BY ALL;
COMMENT ON VIEW experiment_progress IS 'Experiments, and how far their runs are';
COMMENT ON COLUMN experiment_progress.name IS 'Name of the experiment';
COMMENT ON COLUMN experiment_progress.kind IS 'What a run is: notebook, or function';
COMMENT ON COLUMN experiment_progress.runs IS 'Runs that it asks for';
COMMENT ON COLUMN experiment_progress.complete IS 'Of these: done';
COMMENT ON COLUMN experiment_progress.failed IS 'Of these: failed';
COMMENT ON COLUMN experiment_progress.running IS 'Of these: under way, or left by a process that died';
COMMENT ON COLUMN experiment_progress.pending IS 'Of these: still to be done';
COMMENT ON COLUMN experiment_progress.earlier IS 'Runs of earlier forms of the experiment that are kept';
COMMENT ON COLUMN experiment_progress.work_s IS 'Sum of what its runs took, s';
COMMENT ON COLUMN experiment_progress.bytes IS 'Size of the folders of its runs, bytes';
COMMENT ON COLUMN experiment_progress.created_at IS 'First asked for, UTC';
COMMENT ON COLUMN experiment_progress.updated_at IS 'Last asked for, UTC';
COMMENT ON COLUMN experiment_progress.template IS 'The notebook, relative to the project, or the function as module:name';
COMMENT ON COLUMN experiment_progress.output_url IS 'Where the folders of its runs lie';
COMMENT ON COLUMN experiment_progress.description IS 'What it is for';
